package admission

import (
	"fmt"
	"time"
)

// What a request must receive while others wait for bytes. These are far from what
// a client does that sends: its request is only refused if there is no room.
const (
	// silentFor is how long a request may go without the first byte of its body.
	silentFor = 250 * time.Millisecond
	// slowFor is how long it may receive less than leastRate, later on. A piece of
	// a MiB may be in flight that is reported only when it is complete.
	slowFor   = time.Second
	leastRate = 64 << 10 // bytes a second
	// lookEvery is how often slow requests are looked for, as long as any waits.
	lookEvery = 50 * time.Millisecond
)

// Source is what the body of a request is read from.
type Source interface {
	// Interrupt makes reading fail from now on, because of o. It is called at most
	// once, by another goroutine and with the budget locked: it must not wait, and
	// must not use the budget nor one of its tickets.
	Interrupt(o *Overload)
}

// readers are the tickets whose requests are being read, in the order in which
// they began.
type readers struct{ first, last *Ticket }

func (r *readers) add(t *Ticket) {
	t.previous = r.last
	if r.last == nil {
		r.first = t
	} else {
		r.last.next = t
	}
	r.last = t
}

func (r *readers) remove(t *Ticket) {
	if t.previous == nil {
		r.first = t.next
	} else {
		t.previous.next = t.next
	}
	if t.next == nil {
		r.last = t.previous
	} else {
		t.next.previous = t.previous
	}
	t.previous, t.next = nil, nil
}

// Reading notes that the body of the ticket's request is being read from s, until
// DoneReading or Release. What the ticket holds is then for bytes that may never
// come: if others need it, and the request receives too little, s is interrupted.
func (t *Ticket) Reading(s Source) {
	if t == nil {
		return
	}
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mustBeHeld("Reading")
	t.arrived.Store(0)
	t.source, t.seen, t.seenAt = s, 0, time.Now()
	b.readers.add(t)
}

// Arrived counts n bytes of the body that is being read.
func (t *Ticket) Arrived(n int) {
	if t != nil {
		t.arrived.Add(int64(n))
	}
}

// DoneReading ends Reading. The error is the *Overload for which the source was
// interrupted, if it was: then the request is refused, although its body may have
// arrived in the meantime.
func (t *Ticket) DoneReading() error {
	if t == nil {
		return nil
	}
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	t.stopReading()
	if t.interrupted != nil {
		return t.interrupted
	}
	return nil
}

func (t *Ticket) stopReading() {
	if t.source != nil {
		t.budget.readers.remove(t)
		t.source = nil
	}
}

// slow reports whether t receives too little. If not, the measurement starts again.
func (t *Ticket) slow(now time.Time) bool {
	if t.state != running {
		return false // it waits for the budget, not for its client
	}
	arrived, since := t.arrived.Load(), now.Sub(t.seenAt)
	if got := arrived - t.seen; got > 0 && got >= int64(since)*leastRate/int64(time.Second) {
		t.seen, t.seenAt = arrived, now
		return false
	}
	if arrived == 0 {
		return since >= silentFor
	}
	return since >= slowFor
}

// makeRoom interrupts requests that receive too little, the oldest first, until as
// many bytes are returned as are waited for. It looks again later, as long as any
// waits.
func (b *Budget) makeRoom() {
	now := time.Now()
	if b.readers.first == nil || b.queued == 0 && len(b.growing) == 0 {
		return
	}
	if !b.looking {
		b.looking = true
		time.AfterFunc(lookEvery, b.lookAgain)
	}
	if now.Sub(b.lookedAt) < lookEvery {
		return
	}
	b.lookedAt = now
	wanted := b.waitedFor()
	short := wanted > b.limit-b.used
	for t := b.readers.first; t != nil && wanted > b.returning; {
		next := t.next
		// Where only the shares are too small, bytes of others do not help.
		if c := t.client; t.slow(now) && (short || c.growing > 0 || len(c.queue) > 0) {
			b.interrupt(t, now)
		}
		t = next
	}
}

func (b *Budget) lookAgain() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looking, b.lookedAt = false, time.Time{}
	b.makeRoom()
}

// waitedFor returns how many bytes all that wait want.
func (b *Budget) waitedFor() (n int64) {
	for _, t := range b.growing {
		n += t.more
	}
	for _, c := range b.line {
		for _, t := range c.queue {
			n += t.more
		}
	}
	return n
}

// interrupt refuses a request that is being read. Its bytes are returned when
// its owner has noticed.
func (b *Budget) interrupt(t *Ticket, now time.Time) {
	b.refused[slow]++
	t.interrupted = &Overload{RetryAfter: b.retryAfter(), Reason: fmt.Sprintf(
		"refused for others that wait for the memory budget: the request came too slowly, %s in %s; %s of %s in use by %s",
		size(t.arrived.Load()-t.seen), now.Sub(t.seenAt).Round(time.Millisecond), size(b.used), size(b.limit), requests(b.tickets))}
	b.returning += t.held
	source := t.source
	t.stopReading()
	source.Interrupt(t.interrupted)
}
