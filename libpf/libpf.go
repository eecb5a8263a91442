package libpf

// Hash128 is 128 bits, printed big-endian.
type Hash128 struct{ hi, lo uint64 }

// FileID identifies an executable by its contents.
type FileID struct{ Hash128 }

// TraceHash identifies a stack by its frames.
type TraceHash struct{ Hash128 }

// FrameID is a FileID and an address or line in it.
type FrameID struct {
	fileID          FileID
	addressOrLineno AddressOrLineno
}

// AddressOrLineno is an address in an executable or a line in a source file.
type AddressOrLineno uint64

// SourceLineno is a line of a source file, from 1.
type SourceLineno uint64

// UnixTime32 is seconds since 1970.
type UnixTime32 uint32

// Trace is a stack, leaf first: parallel lists.
type Trace struct {
	Files      []FileID
	Linenos    []AddressOrLineno
	FrameTypes []FrameType
	Hash       TraceHash
}

// NewFileID returns the id with these halves.
func NewFileID(hi, lo uint64) FileID { return FileID{Hash128{hi, lo}} }

// NewTraceHash returns the hash with these halves.
func NewTraceHash(hi, lo uint64) TraceHash { return TraceHash{Hash128{hi, lo}} }

// NewFrameID returns the id of a frame.
func NewFrameID(fileID FileID, addressOrLineno AddressOrLineno) FrameID {
	return FrameID{fileID, addressOrLineno}
}

// FileID returns the executable's part.
func (f FrameID) FileID() FileID { return f.fileID }

// AddressOrLine returns the address or line.
func (f FrameID) AddressOrLine() AddressOrLineno { return f.addressOrLineno }

// Hi and Lo return the halves.
func (h Hash128) Hi() uint64 { return h.hi }

// Lo returns the lower half.
func (h Hash128) Lo() uint64 { return h.lo }
