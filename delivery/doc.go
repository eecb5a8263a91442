// Package delivery brings batches to a destination: it keeps them within a bound of
// bytes, sends one after the other, and sends again what the destination does not
// take yet.
//
//	Add ─► queue ─► head ─► Config.Next ─┬─► taken: Delivered, a part perhaps Rejected
//	        └──┬─────┘         ▲         ├─► refused for good: Refused
//	           │ overflow      └─────────┴── later: it stays the head, and all wait
//	           ▼
//	      PendingFull                        what Shutdown has no time for: Stopped
//
// Every item that was added is at each moment in exactly one place:
//
//	Added == Delivered + Spooled + Held + sum(Dropped)
//
// Waits between attempts are random around a mean that doubles with each failure. A
// destination that asks for a longer wait gets it. Shutdown sends what is held, with
// short waits.
//
// The queue does not depend on its callers. Stats count what the caller calls an
// item: spans for an exporter, events for the reporter, which adds many of them up in
// one sample.
//
// With Config.Spool each request goes there first, such as into a Log, and is sent from
// the Queue only while that fails.
//
// A request that failed may have arrived all the same, and is then sent a second
// time: OTLP is delivered at least once.
//
// # On disk
//
// A Log keeps batches in a journal before it says that they are kept, once for all of
// its Destinations, and each of these sends them on from a cursor of its own: several
// requests at a time, merged where they wait anyway, again after failures and restarts,
// in halves where one of several is refused, in parts where one is too large. Package
// record is the format of a batch there. A Ledger has what became of each item, over
// restarts.
package delivery
