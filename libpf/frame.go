package libpf

import "unique"

// Frame is one resolved frame of a stack: all that is known of it. Two frames
// are the same frame if all fields are equal.
type Frame struct {
	Type FrameType
	// Mapping is the part of an executable that the frame's code lies in. The
	// zero Handle is none.
	Mapping unique.Handle[Mapping]
	// Address is the virtual address in the executable file (ELF-VA), 0 for
	// frames of interpreters.
	Address AddressOrLineno
	// FunctionName and SourceFile are empty if unknown. SystemName is the name
	// as the linker knows it, if it is another.
	FunctionName, SystemName, SourceFile string
	// StartLine is the line on which the function begins, SourceLine and
	// SourceColumn where the frame is; all count from 1, 0 is unknown.
	StartLine, SourceLine SourceLineno
	SourceColumn          uint32
	// InlinedInto is the function that this one was inlined into, at the same
	// address: a chain from the innermost function to the one that has code of
	// its own. Only the functions and lines count there. The zero Handle ends it.
	InlinedInto unique.Handle[Frame]
	// Attributes are more than profile.frame.type, which Type becomes.
	Attributes Attributes
}

// Mapping is a part of an executable as it is mapped into memory.
type Mapping struct {
	// FileName is the base name or the path of the executable.
	FileName string
	// FileID, if not zero, becomes process.executable.build_id.htlhash.
	FileID FileID
	// GNUBuildID and GoBuildID become process.executable.build_id.gnu and .go.
	GNUBuildID, GoBuildID string
	// Start and Limit are addresses [Start, Limit), FileOffset is where in the
	// file Start lies. All 0 is unknown.
	Start, Limit, FileOffset uint64
	// Attributes are more than those above.
	Attributes Attributes
}

// Frames is a stack, leaf first. Frames are interned: equal frames are one
// Handle, so that stacks are compared and hashed at 8 bytes a frame.
type Frames []unique.Handle[Frame]

// Append interns f and appends it.
func (s *Frames) Append(f Frame) { *s = append(*s, unique.Make(f)) }
