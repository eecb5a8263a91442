package admission

import (
	"context"
	"math"
	"sync"
	"time"
)

// The bounds of a Config that names none.
const (
	DefaultMaxWait    = time.Second
	DefaultMaxWaiting = 1024
)

// Config describes a budget.
type Config struct {
	// Bytes is all that may be held at a time. 0 or less is no bound.
	Bytes int64
	// MaxWait is how long a request may wait for bytes, in all its waits
	// together. 0: DefaultMaxWait; less: nobody waits.
	MaxWait time.Duration
	// MaxWaiting is how many requests may wait to be let in; those that are in
	// and wait to grow are bounded by what they hold. One client may have as
	// many as are left for the others. 0: DefaultMaxWaiting; less: nobody waits.
	MaxWaiting int
}

// Budget is a number of bytes that requests share. It is safe for concurrent
// use. A nil *Budget has no bound. It has no goroutine and needs no closing.
type Budget struct {
	limit      int64
	maxWait    time.Duration
	maxWaiting int

	mu      sync.Mutex
	used    int64 // by all tickets together, never above limit
	peak    int64
	tickets int    // admitted and not released
	born    uint64 // tickets admitted so far, which is their age
	clients map[string]*client
	round   uint64 // of letGrow

	line    []*client     // with requests that want to be let in, next first
	queued  int           // these requests
	growing []*Ticket     // admitted and waiting for more, eldest first
	refused [causes]int64 // requests
	left    int64         // requests whose context ended while they waited

	idleTickets idleTickets
	idleClients []*client // at most maxIdle
}

// client is what one sender holds and waits for. It is in Budget.clients while
// there is any of it.
type client struct {
	name    string
	used    int64
	tickets int       // admitted
	growing int       // of these, waiting
	queue   []*Ticket // to be let in, first come first
	seen    uint64    // the round in which its eldest growing ticket had its turn
}

// New makes a budget. It is nil, which bounds nothing, if c.Bytes is 0 or less.
func New(c Config) *Budget {
	if c.Bytes <= 0 {
		return nil
	}
	if c.MaxWait == 0 {
		c.MaxWait = DefaultMaxWait
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	return &Budget{
		limit:      min(c.Bytes, math.MaxInt64/4), // so that sums of sizes stay in range
		maxWait:    max(c.MaxWait, 0),
		maxWaiting: max(c.MaxWaiting, 0),
		clients:    map[string]*client{},
	}
}

// Acquire lets a request of client in with its first n bytes, waiting for them
// if it must. The error is an *Overload, or wraps what ended ctx. ctx also ends
// the waits of Reserve. client is kept while the ticket is held, so it must not
// be part of a buffer that is written again.
func (b *Budget) Acquire(ctx context.Context, client string, n int) (*Ticket, error) {
	if b == nil {
		return nil, nil
	}
	t, parked, err := b.enter(ctx, client, max(int64(n), 0))
	if parked {
		err = t.await(ctx)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// enter lets a request in, refuses it, or parks it.
func (b *Budget) enter(ctx context.Context, client string, n int64) (t *Ticket, parked bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.limit {
		return nil, false, b.tooLarge(n)
	}
	t = b.idleTickets.get()
	t.budget, t.client, t.ctx, t.more, t.patience = b, b.clientOf(client), ctx, n, b.maxWait
	if b.queued == 0 && len(b.growing) == 0 && b.fits(t) {
		b.admit(t)
		return t, false, nil
	}
	b.enqueue(t)
	b.settle()
	switch {
	case t.state == running:
		return t, false, nil
	case !b.maySit(t):
		err = b.overload(t, b.others())
		b.dequeue(t)
		return nil, false, err
	}
	t.park()
	return t, true, nil
}

// maySit says whether t, which is in its queue already, may wait there.
func (b *Budget) maySit(t *Ticket) bool {
	left, own := b.maxWaiting-b.queued, len(t.client.queue)
	return left >= 0 && t.patience > 0 && (own == 1 || own <= left)
}

// clientOf returns the client of that name. Whoever calls it gives it a ticket.
func (b *Budget) clientOf(name string) *client {
	if c := b.clients[name]; c != nil {
		return c
	}
	var c *client
	if n := len(b.idleClients); n > 0 {
		c, b.idleClients = b.idleClients[n-1], b.idleClients[:n-1]
	} else {
		c = &client{}
	}
	c.name = name
	b.clients[name] = c
	return c
}

// forget drops a client of which nothing is left.
func (b *Budget) forget(c *client) {
	if c.tickets > 0 || len(c.queue) > 0 {
		return
	}
	delete(b.clients, c.name)
	c.name = ""
	if cap(c.queue) > 64 {
		c.queue = nil
	}
	if len(b.idleClients) < maxIdle {
		b.idleClients = append(b.idleClients, c)
	}
}

// take and giveBack are the only places where bytes move.
func (b *Budget) take(t *Ticket) {
	t.held += t.more
	t.client.used += t.more
	b.used += t.more
	b.peak = max(b.peak, b.used)
	t.more = 0
}

func (b *Budget) giveBack(t *Ticket, n int64) {
	t.held -= n
	t.client.used -= n
	b.used -= n
}

// admit takes t's first bytes.
func (b *Budget) admit(t *Ticket) {
	t.state = running
	b.born++
	t.age = b.born
	b.tickets++
	t.client.tickets++
	b.take(t)
}

// Stats is a budget at one moment. Byte counts are bytes, the rest are requests
// but for Clients.
type Stats struct {
	Limit, Used, Peak int64
	Admitted          int // hold bytes now
	Clients           int // hold or want some
	Waiting           int // to be let in
	Growing           int // admitted, and wait for more
	RefusedFull       int64
	RefusedShare      int64
	RefusedTooLarge   int64
	// Left counts those whose context ended while they waited.
	Left int64
}

// Refused is how many requests were refused for any reason.
func (s Stats) Refused() int64 { return s.RefusedFull + s.RefusedShare + s.RefusedTooLarge }

// Stats returns what the budget is at. Of a nil budget it is zero.
func (b *Budget) Stats() Stats {
	if b == nil {
		return Stats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return Stats{
		Limit: b.limit, Used: b.used, Peak: b.peak,
		Admitted: b.tickets, Clients: len(b.clients), Waiting: b.queued, Growing: len(b.growing),
		RefusedFull: b.refused[full], RefusedShare: b.refused[share], RefusedTooLarge: b.refused[tooLarge],
		Left: b.left,
	}
}
