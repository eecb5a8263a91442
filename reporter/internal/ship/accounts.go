package ship

import (
	"math/bits"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Accounts is what became of the events of one signal. At every moment
//
//	Added == Acknowledged + Held + sum(Dropped)
type Accounts struct {
	// Added, Acknowledged, Held and Dropped are events. Held is what is not yet
	// one of the other two, the request being sent included.
	Added, Acknowledged, Held int64
	// Dropped is by reason. Rejected is an estimate where a request has another
	// number of units than of events: a destination tells how many units it
	// rejected, not which, and events are taken to be spread evenly over them,
	// rounded up.
	Dropped [NumReasons]int64
	// HeldBytes and HeldRequests are what Held lies in. A request counts as 64
	// bytes at least.
	HeldBytes, HeldRequests int64
	// Retries is how many requests were sent that had been sent before.
	Retries int64
}

// Accounts returns the accounts of a signal as they are now.
func (s *Shipper) Accounts(signal otlp.Signal) Accounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.book(signal).Accounts
}

// book is what is known of one signal.
type book struct {
	Accounts
	losses [NumReasons]loss // to be told
}

// book returns the row of a signal; row 0 is for what is none. The caller holds
// the lock, as for all below.
func (s *Shipper) book(signal otlp.Signal) *book {
	if !signal.Valid() {
		return &s.books[0]
	}
	return &s.books[signal]
}

// enter counts p in as held.
func (s *Shipper) enter(p *Payload) {
	a := s.book(p.Signal)
	a.Added += p.Events
	a.Held += p.Events
	a.HeldBytes += int64(p.size())
	a.HeldRequests++
	s.heldBytes += p.size()
	s.heldRequests++
}

// leave counts p out: lost events as dropped for a reason, the others as
// acknowledged. cause is told with the loss; nil where the reason says it all.
func (s *Shipper) leave(p *Payload, lost int64, why Reason, cause error) {
	a := s.book(p.Signal)
	a.Held -= p.Events
	a.HeldBytes -= int64(p.size())
	a.HeldRequests--
	s.heldBytes -= p.size()
	s.heldRequests--
	a.Acknowledged += p.Events - lost
	a.Dropped[why] += lost
	if lost > 0 {
		a.losses[why].note(lost, cause)
	}
}

// drop counts p out with all of its events lost.
func (s *Shipper) drop(p *Payload, why Reason, cause error) { s.leave(p, p.Events, why, cause) }

// lostEvents estimates how many of events were in the rejected ones of units:
// the same share, rounded up, between none and all.
func lostEvents(events, rejected, units int64) int64 {
	switch {
	case events <= 0 || rejected <= 0:
		return 0
	case units <= 0: // of what nobody counted each may have been an event
		return min(events, rejected)
	case rejected >= units:
		return events
	}
	hi, lo := bits.Mul64(uint64(events), uint64(rejected))
	share, rest := bits.Div64(hi, lo, uint64(units)) // rejected < units, so it fits
	if rest > 0 {
		share++
	}
	return int64(share)
}
