// Package admission bounds the bytes that requests hold while they are in the
// process. One Budget serves all receivers; a request takes a Ticket before its
// body is read, grows it while it unpacks, and gives it back when nobody holds
// the bytes any more.
//
//	            Acquire ──► fits? ──► Ticket ──Reserve──► fits? ──► ... ──Release──► bytes come back
//	                         │ no                          │ no
//	                         ▼                             ▼
//	ring of clients:  a ─► b ─► c            growing: eldest ... youngest
//	  each a queue    □    □    □            (admitted already, so they go first)
//	                  □         □
//
// Who may take n bytes, where free is what nobody holds:
//
//   - a client that holds nothing else: if n <= free;
//   - any other: if held + n <= 2 * (free - n). The more is free, the more one
//     sender may have; alone it has two thirds at most, and the fuller it gets,
//     the less each may add. This is the dynamic threshold of Choudhury and Hahne
//     ("Dynamic queue length thresholds for shared-memory packet switches", 1998).
//
// Who does not fit waits, for Config.MaxWait in all its life, and is then
// refused. As bytes come back, requests that were admitted grow first, the
// eldest first, so that somebody ends; then new ones are let in, one from each
// client in turn, first come first served within a client. One that holds
// nothing and is passed over for half of MaxWait because it is large is passed
// over no more: bytes are saved up for it.
//
// Requests that all wait to grow would wait for each other. So when no admitted
// request is running, the youngest is refused at once. The same might happen
// within one client at its share while there is room beside it: when none of its
// requests is running, its eldest may take what is free.
//
// The one trap: tickets are used again. After Release a ticket belongs to
// somebody else, though not soon; a second Release panics while it is idle.
package admission
