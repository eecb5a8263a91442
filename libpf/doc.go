// Package libpf holds the types in which profilers speak of stacks. There are
// two ways to say what a stack is, and a type for each part of both.
//
// By ids: the stack is columns of numbers, and what they stand for is told
// apart from it, once.
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
// By value: all that is known of a frame travels with it. Equal frames are one
// Handle of package unique, so a stack takes 8 bytes a frame and is compared and
// hashed without looking at the strings.
//
//	Frames ──► Frame* ── Mapping ────► Mapping      the executable
//	                  ├─ InlinedInto ► Frame        the caller, at the same address
//	                  └─ Attributes                 sorted keys with values
//
// Strings, JSON and hashes of the ids are those that profilers store, send and
// use as keys. Each type names where its form differs from the one known so far.
//
// The one trap: a Handle that was never set means "none", and its Value method
// panics. Compare it first:
//
//	if frame.Mapping != (unique.Handle[libpf.Mapping]{}) {
//		name = frame.Mapping.Value().FileName
//	}
package libpf
