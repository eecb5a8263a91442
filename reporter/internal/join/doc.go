// Package join keeps what the documented API reports apart (stacks as lists of
// addresses, symbols, executables) until a stack is asked for, and then puts it
// together as libpf.Frames.
//
//	Trace:  hash ──► stack ──► frame ──► file            shared: a frame is kept once for
//	                             │         │             all stacks that have it, a file
//	                             │         │             once for all its frames
//	Frame:          symbol   ◄───┤         │
//	FallbackSymbol: fallback ◄───┘         │
//	Executable:     executable ◄───────────┘
//
// Facts come in any order, late, or never. Each new one moves the epoch on; what
// was put together in the present epoch is given out again as it is.
//
// The one trap: the caches are bounded, so that a fact may be gone when it is
// looked up again. A frame therefore keeps the names it was given until the last
// stack that has it goes; it never falls back from a name to none.
package join
