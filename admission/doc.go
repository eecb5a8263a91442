// Package admission bounds the bytes that requests hold while they are in the
// process. One Budget serves all receivers. A request takes a Ticket before its
// body is read, grows it while it unpacks, and releases it when its bytes are no
// longer referenced.
//
//	            Acquire ──► fits? ──► Ticket ──Reserve──► fits? ──► ... ──Release──► bytes are free
//	                         │ no                          │ no
//	                         ▼                             ▼
//	clients in turn:  a ─► b ─► c            growing: oldest ... youngest
//	  a queue each    □    □    □            (already admitted, so they go first)
//	                  □         □
//
// Whether a client may take n bytes, where free is what no ticket holds:
//
//   - a client that holds nothing else: if n <= free;
//   - any other: if held + n <= 2 * (free - n). The more is free, the more one
//     client may have. Alone it gets two thirds at most, and the fuller the
//     budget, the less each may add. This is the dynamic threshold of Choudhury
//     and Hahne ("Dynamic queue length thresholds for shared-memory packet
//     switches", 1998).
//
// A request that does not fit waits, for Config.MaxWait over all its waits, and is
// then refused. As bytes become free, admitted requests grow first, the oldest
// first, so that at least one finishes. Then new requests are admitted, one from
// each client in turn, first come first served within a client. A request of a
// client that holds nothing may be too large for what is free. Once it has been
// passed over for half of MaxWait, free bytes are saved for it.
//
// Requests that all wait to grow would wait for each other. So when every
// admitted request waits, the youngest is refused at once, of those that have grown
// before, if any has. The same can happen
// within one client that has reached its share while the rest of the budget is
// free: when all its requests wait, its oldest may take what is free.
//
// What a request holds while its body is being read is for bytes that may never
// come. As long as any request waits, those that receive too little are refused,
// the oldest first, until enough bytes are returned (Ticket.Reading).
//
// Resize changes the budget while it is in use. If more bytes are held than the
// new limit allows, nothing is taken away: new bytes are given out once enough
// came back. A waiting request that is larger than the new limit is refused at
// once, since waiting could not help.
//
// The one trap: tickets are reused. After Release a ticket belongs to another
// request, though not soon; a second Release panics while the ticket is unused.
package admission
