package admission

import "testing"

const kib, mib = 1 << 10, 1 << 20

// get is an Acquire that must succeed.
func get(t testing.TB, b *Budget, client string, n int) *Ticket {
	t.Helper()
	ticket, err := b.Acquire(t.Context(), client, n)
	if err != nil {
		t.Fatalf("%s wants %s: %v", client, size(int64(n)), err)
	}
	return ticket
}

// verify checks a budget that was never resized, at a moment when no goroutine
// uses it. tickets are those that are held.
func verify(t testing.TB, b *Budget, tickets []*Ticket) {
	t.Helper()
	b.mu.Lock()
	if b.peak > b.limit || b.queued > b.maxWaiting {
		t.Errorf("peak %d of %d, %d of %d queue", b.peak, b.limit, b.queued, b.maxWaiting)
	}
	b.mu.Unlock()
	verifyRules(t, b, tickets)
}

// verifyRules compares a budget with its tickets and with its own rules: sums
// agree, and none waits that need not.
func verifyRules(t testing.TB, b *Budget, tickets []*Ticket) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	var used int64
	type sum struct {
		used             int64
		tickets, growing int
	}
	clients := map[*client]*sum{}
	for _, c := range b.clients {
		clients[c] = &sum{}
	}
	for _, k := range tickets {
		used += k.held
		s := clients[k.client]
		s.used += k.held
		s.tickets++
		if k.state == growing {
			s.growing++
		}
	}
	if used != b.used || b.used < 0 || b.used > b.peak || len(tickets) != b.tickets {
		t.Fatalf("%d tickets hold %d; the budget says %d and %d, peak %d", len(tickets), used, b.tickets, b.used, b.peak)
	}
	verifyReaders(t, b, tickets)
	queuing, inLine := 0, map[*client]bool{}
	for _, c := range b.line {
		inLine[c] = true
	}
	for c, s := range clients {
		if (*s != sum{c.used, c.tickets, c.growing}) || b.clients[c.name] != c {
			t.Fatalf("client %q: found %+v, it says %d bytes, %d tickets, %d growing", c.name, *s, c.used, c.tickets, c.growing)
		}
		if s.tickets == 0 && len(c.queue) == 0 {
			t.Fatalf("client %q is kept for nothing", c.name)
		}
		if inLine[c] != (len(c.queue) > 0) {
			t.Fatalf("client %q: %d queue, in line %v", c.name, len(c.queue), inLine[c])
		}
		queuing += len(c.queue)
	}
	if queuing != b.queued || len(inLine) != len(b.line) {
		t.Fatalf("%d queue, the budget says %d; %d clients in line, %d different", queuing, b.queued, len(b.line), len(inLine))
	}
	verifyNoneForgotten(t, b)
}

// verifyReaders checks the list of tickets whose requests are being read, and what
// those that were interrupted hold. The budget is locked.
func verifyReaders(t testing.TB, b *Budget, tickets []*Ticket) {
	t.Helper()
	listed := map[*Ticket]bool{}
	var previous *Ticket
	for k := b.readers.first; k != nil; k = k.next {
		if listed[k] || k.previous != previous || k.source == nil || k.interrupted != nil {
			t.Fatalf("the list of readers is broken at %+v", k)
		}
		listed[k], previous = true, k
	}
	var returning int64
	reading := 0
	for _, k := range tickets {
		if k.interrupted != nil {
			returning += k.held
		}
		if k.source != nil {
			reading++
		}
	}
	if previous != b.readers.last || reading != len(listed) || returning != b.returning {
		t.Fatalf("%d of %d readers are listed, %d bytes return, the budget says %d", len(listed), reading, returning, b.returning)
	}
}

func verifyNoneForgotten(t testing.TB, b *Budget) {
	t.Helper()
	free, freeToGrow, saving := b.limit-b.used, b.growLimit-b.used, false
	var last uint64
	for _, g := range b.growing {
		others := g.client.used - g.held
		if g.more <= freeToGrow && (others == 0 || g.client.used+g.more <= 2*(freeToGrow-g.more)) {
			t.Fatalf("%d more for a ticket of %d are free (%d), and it waits", g.more, g.held, freeToGrow)
		}
		if g.held+g.more > b.growLimit {
			t.Fatalf("a ticket waits for %d of %d", g.held+g.more, b.growLimit)
		}
		if g.age <= last {
			t.Fatalf("a younger ticket goes before an older one")
		}
		last, saving = g.age, saving || others == 0
	}
	if len(b.growing) > 0 && len(b.growing) == b.tickets {
		t.Fatalf("all %d tickets wait for each other", b.tickets)
	}
	for _, c := range b.line {
		for _, k := range c.queue {
			if k.more > b.limit {
				t.Fatalf("client %q waits for %d of %d", c.name, k.more, b.limit)
			}
		}
		if n := c.queue[0].more; !saving && n <= free && c.used == 0 {
			t.Fatalf("client %q holds nothing, wants %d of %d, and waits", c.name, n, free)
		} else if c.used == 0 && n > free {
			saving = true // possibly: it may have waited long enough
		}
	}
}
