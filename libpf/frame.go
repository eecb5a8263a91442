package libpf

import "unique"

// Frame is a resolved frame of a stack. Two frames are the same frame if all fields
// are equal.
type Frame struct {
	Type FrameType
	// Mapping is the mapped part of an executable with the code of the frame. The
	// zero Handle means none.
	Mapping unique.Handle[Mapping]
	// Address is the virtual address in the executable file (ELF-VA), 0 for
	// frames of interpreters.
	Address AddressOrLineno
	// FunctionName and SourceFile are empty if unknown. SystemName is the linker's
	// name of the function, if it is different.
	FunctionName, SystemName, SourceFile string
	// StartLine is the line at which the function begins, SourceLine and
	// SourceColumn the position of the frame; they count from 1, 0 means unknown.
	StartLine, SourceLine SourceLineno
	SourceColumn          uint32
	// InlinedInto is the function into which this one was inlined, at the same
	// address: a chain from the innermost function to the one with code of its own.
	// Only functions and lines of these frames are used. The zero Handle ends it.
	InlinedInto unique.Handle[Frame]
	// Attributes are additional attributes; Type is sent as profile.frame.type.
	Attributes Attributes
}

// Mapping is a part of an executable that is mapped into memory.
type Mapping struct {
	// FileName is the base name or the path of the executable.
	FileName string
	// FileID is sent as process.executable.build_id.htlhash, unless it is zero.
	FileID FileID
	// GNUBuildID and GoBuildID are sent as process.executable.build_id.gnu and .go,
	// unless they are empty.
	GNUBuildID, GoBuildID string
	// Start and Limit are the addresses [Start, Limit), FileOffset is the offset in
	// the file that is mapped to Start. All 0 means unknown.
	Start, Limit, FileOffset uint64
	// Attributes are additional attributes.
	Attributes Attributes
}

// Frames is a stack, leaf first. Frames are interned: equal frames are one Handle, so
// that only 8 bytes for each frame are compared and hashed.
type Frames []unique.Handle[Frame]

// Append interns f and appends it.
func (s *Frames) Append(f Frame) { *s = append(*s, unique.Make(f)) }
