package admission

import (
	"slices"
	"time"
)

// alpha is how many times the free bytes a client may hold.
const alpha = 2

// limitOf returns the limit for what t wants: its first bytes, or more of them.
func (b *Budget) limitOf(t *Ticket) int64 {
	if t.state == running || t.state == growing {
		return b.growLimit
	}
	return b.limit
}

// freeFor is negative if a Resize left less than what is held.
func (b *Budget) freeFor(t *Ticket) int64 { return b.limitOf(t) - b.used }

// fits reports whether t may have the bytes that it wants, by the rule of the
// package comment.
func (b *Budget) fits(t *Ticket) bool {
	free := b.freeFor(t)
	if t.more > free {
		return false
	}
	c := t.client
	return c.used == t.held || c.used+t.more <= alpha*(free-t.more)
}

// enqueue makes t wait: in its client's queue, or by age among those that grow.
func (b *Budget) enqueue(t *Ticket) {
	t.since, t.result = time.Now(), nil
	if t.state == unused {
		t.state = queued
		b.queued++
		if len(t.client.queue) == 0 {
			b.line = append(b.line, t.client)
		}
		t.client.queue = append(t.client.queue, t)
		return
	}
	t.state = growing
	t.client.growing++
	at := len(b.growing)
	for at > 0 && b.growing[at-1].age > t.age {
		at--
	}
	b.growing = slices.Insert(b.growing, at, t)
}

// dequeue undoes enqueue for a ticket that gave up or was refused, and settles,
// since those behind it may fit.
func (b *Budget) dequeue(t *Ticket) {
	if t.state == growing {
		b.stopGrowing(slices.Index(b.growing, t))
		t.more = 0
	} else {
		b.unqueue(t.client, slices.Index(t.client.queue, t))
		b.drop(t)
	}
	b.settle()
}

// unqueue removes a client's queued request by its index, and the client from
// the line if none is left.
func (b *Budget) unqueue(c *client, i int) {
	c.queue = remove(c.queue, i)
	b.queued--
	if len(c.queue) == 0 {
		b.line = remove(b.line, slices.Index(b.line, c))
	}
}

func (b *Budget) stopGrowing(i int) {
	t := b.growing[i]
	b.growing = remove(b.growing, i)
	t.client.growing--
	t.state = running
	if t.source != nil {
		t.seenAt = time.Now() // the client is not to blame for the wait
	}
}

// drop puts a ticket away that holds and wants nothing.
func (b *Budget) drop(t *Ticket) {
	b.forget(t.client)
	t.state, t.client, t.ctx, t.more, t.result, t.grown, t.interrupted = unused, nil, nil, 0, nil, false, nil
	b.unusedTickets.put(t)
}

// refuseTooLarge ends the waits of all that want more than the whole budget.
// Tickets that are refused in a queue are not reused: their owners, which have
// not woken up yet, still read them.
func (b *Budget) refuseTooLarge() {
	for i := 0; i < len(b.growing); {
		t := b.growing[i]
		total := t.held + t.more
		if total <= b.growLimit {
			i++
			continue
		}
		b.stopGrowing(i)
		t.more = 0
		t.wake(b.tooLarge(total))
	}
	for _, c := range slices.Clone(b.line) {
		for i := 0; i < len(c.queue); {
			t := c.queue[i]
			if t.more <= b.limit {
				i++
				continue
			}
			b.unqueue(c, i)
			t.state, t.client = unused, nil
			t.wake(b.tooLarge(t.more))
		}
		b.forget(c)
	}
}

// settle gives what is free to those that wait, until none of them may have any.
// It runs after every change that may help one of them.
func (b *Budget) settle() {
	if len(b.growing) > 0 && b.growWaiting() {
		return // what is free is saved for one that grows
	}
	if b.queued > 0 {
		b.admitWaiting()
	}
}

// growWaiting grows the waiting tickets, oldest first. It reports whether one
// that is within its share must still wait: then no request is admitted before
// it.
func (b *Budget) growWaiting() (saving bool) {
	b.pass++
	for i := 0; i < len(b.growing); {
		t := b.growing[i]
		c := t.client
		oldest := c.pass != b.pass
		c.pass = b.pass
		stuck := oldest && c.growing == c.tickets
		if !b.fits(t) && (!stuck || t.more > b.freeFor(t)) {
			saving = saving || c.used == t.held
			i++
			continue
		}
		b.stopGrowing(i)
		b.take(t)
		t.grown = true
		t.wake(nil)
	}
	if n := len(b.growing); n > 0 && n == b.tickets {
		i := b.youngestGrown()
		t := b.growing[i]
		o := b.overload(t, ", and all of them wait for more")
		b.stopGrowing(i)
		t.more = 0
		t.wake(o)
	}
	return saving
}

// youngestGrown returns the index in growing of the youngest ticket that has grown
// before: of the youngest at all if none has. Those that have just been admitted
// hold next to nothing that others could use.
func (b *Budget) youngestGrown() int {
	last := len(b.growing) - 1
	for i := last; i >= 0; i-- {
		if b.growing[i].grown {
			return i
		}
	}
	return last
}

// admitWaiting admits from each client in line in turn. A request that did not
// fit does not fit later in the same pass either, since what is free becomes less.
func (b *Budget) admitWaiting() {
	now := time.Now()
	for i := 0; i < len(b.line); {
		c := b.line[i]
		t := c.queue[0]
		if !b.fits(t) {
			if c.used == 0 && now.Sub(t.since) >= b.maxWait/2 {
				return // bytes are saved for it
			}
			i++
			continue
		}
		c.queue = remove(c.queue, 0)
		b.queued--
		b.line = remove(b.line, i)
		if len(c.queue) > 0 {
			b.line = append(b.line, c)
		}
		b.admit(t)
		t.wake(nil)
	}
}

// remove is slices.Delete for one element.
func remove[T any](s []T, i int) []T { return slices.Delete(s, i, i+1) }
