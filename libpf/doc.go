// Package libpf has the types with which profilers describe stacks. There are two
// ways to describe a stack.
//
// By ids: the stack is columns of numbers. Their meaning is reported separately,
// once.
//
//	TraceAndCounts ── Hash ──► Trace          how often, when, in which thread
//	                           ├─ Files       ┐
//	                           ├─ Linenos     ├ row i is frame i, leaf first
//	                           ├─ FrameTypes  ┘
//	                           └─ Hash        HashTrace of the first two
//	FrameID = FileID, AddressOrLineno         one row of a Trace
//	  ▲
//	  └─ FrameMetadata                        function, file and line of a row
//
// By value: a frame contains everything that is known of it. Equal frames are one
// Handle of package unique, so that a stack takes 8 bytes for each frame and is
// compared and hashed without reading the strings.
//
//	Frames ──► Frame* ── Mapping ────► Mapping      the executable
//	                  ├─ InlinedInto ► Frame        the caller, at the same address
//	                  └─ Attributes                 sorted keys with values
//
// Strings, JSON and hashes of the ids are those that profilers store, send and use as
// keys. Each type documents where its form differs from that of the type of the same
// name in earlier profilers.
//
// The zero Handle means "none", and its Value method panics. Compare it first:
//
//	if frame.Mapping != (unique.Handle[libpf.Mapping]{}) {
//		name = frame.Mapping.Value().FileName
//	}
package libpf
