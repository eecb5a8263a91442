package delivery

import (
	"math/bits"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Stats is what became of the items of one signal. At every moment
//
//	Added == Delivered + Spooled + Held + sum(Dropped)
type Stats struct {
	// Added, Delivered, Spooled, Held and Dropped are items. Spooled is what Config.Spool
	// has taken. Held is what is not yet one of the others, the request being sent
	// included.
	Added, Delivered, Spooled, Held int64
	// Dropped is by reason. Rejected is an estimate where a request has another
	// number of units than of items: a destination tells how many units it
	// rejected, not which, and items are taken to be spread evenly over them, rounded
	// up.
	Dropped [NumReasons]int64
	// HeldBytes and HeldRequests are what Held lies in. A request counts as 64 bytes
	// at least.
	HeldBytes, HeldRequests int64
	// Retries is how many requests were sent that had been sent before.
	Retries int64
}

// Stats returns the stats of a signal as they are now.
func (q *Queue) Stats(s otlp.Signal) Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.signals[s].stats
}

// signalState is what is known of one signal. The caller holds the lock, as for all
// below.
type signalState struct {
	stats Stats
	drops [NumReasons]drops // to be logged
}

// enter counts r in as held.
func (q *Queue) enter(r *Request) {
	s := &q.signals[r.signal()].stats
	s.Added += r.Items
	s.Held += r.Items
	s.HeldBytes += int64(r.size())
	s.HeldRequests++
	q.heldBytes += r.size()
	q.heldRequests++
	q.entered++
}

// leave counts r out: lost items as dropped for a reason, the others as delivered.
// cause is logged with the drop; nil where the reason says it all. The batch is
// released.
func (q *Queue) leave(r *Request, lost int64, why Reason, cause error) {
	q.unhold(r)
	state := &q.signals[r.signal()]
	s := &state.stats
	s.Delivered += r.Items - lost
	s.Dropped[why] += lost
	if lost > 0 {
		state.drops[why].note(lost, cause)
	}
	q.cfg.Observer.Outcome(q.ctx, r.signal(), int(r.Items), int(lost), pipeline.Classify(cause))
	r.Batch.Release()
}

// move counts r out as taken by Config.Spool. The batch is released.
func (q *Queue) move(r *Request) {
	q.unhold(r)
	q.signals[r.signal()].stats.Spooled += r.Items
	r.Batch.Release()
}

// unhold takes r out of what is held.
func (q *Queue) unhold(r *Request) {
	s := &q.signals[r.signal()].stats
	s.Held -= r.Items
	s.HeldBytes -= int64(r.size())
	s.HeldRequests--
	q.heldBytes -= r.size()
	q.heldRequests--
	q.gone++
	if q.less != nil {
		close(q.less)
		q.less = nil
	}
}

// drop counts r out with all of its items lost.
func (q *Queue) drop(r *Request, why Reason, cause error) { q.leave(r, r.Items, why, cause) }

// lostItems estimates how many of items were in the rejected ones of units: the same
// share, rounded up, between none and all.
func lostItems(items, rejected, units int64) int64 {
	switch {
	case items <= 0 || rejected <= 0:
		return 0
	case units <= 0: // of what nobody counted each may have been an item
		return min(items, rejected)
	case rejected >= units:
		return items
	}
	hi, lo := bits.Mul64(uint64(items), uint64(rejected))
	share, rest := bits.Div64(hi, lo, uint64(units)) // rejected < units, so it fits
	if rest > 0 {
		share++
	}
	return int64(share)
}
