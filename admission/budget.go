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

// noLimit is the limit of a budget without a bound, and the largest there is, so
// that sums of sizes stay in range.
const noLimit = math.MaxInt64 / 4

// Config describes a budget.
type Config struct {
	// Bytes is how many bytes all tickets together may hold at a time. 0 or less
	// means no bound.
	Bytes int64
	// GrowBytes is how many bytes all tickets together may hold when one that is
	// admitted grows; less than Bytes means Bytes. After a Resize to less, it lets
	// the requests in flight finish that began with the larger budget.
	GrowBytes int64
	// MaxWait is how long a request may wait for bytes, over all its waits
	// together. 0 means DefaultMaxWait; less than 0 means that none waits.
	MaxWait time.Duration
	// MaxWaiting is how many requests may wait to be admitted. Admitted requests
	// that wait to grow do not count: what they hold bounds them. One client may
	// have as many waiting as it leaves places for others. 0 means
	// DefaultMaxWaiting; less than 0 means that none waits.
	MaxWaiting int
}

// withDefaults returns c with every bound set.
func (c Config) withDefaults() Config {
	if c.Bytes <= 0 {
		c.Bytes = noLimit
	}
	if c.MaxWait == 0 {
		c.MaxWait = DefaultMaxWait
	}
	if c.MaxWaiting == 0 {
		c.MaxWaiting = DefaultMaxWaiting
	}
	c.Bytes = min(c.Bytes, noLimit)
	return Config{Bytes: c.Bytes, GrowBytes: min(max(c.Bytes, c.GrowBytes), noLimit), MaxWait: max(c.MaxWait, 0), MaxWaiting: max(c.MaxWaiting, 0)}
}

// Budget is a number of bytes that requests share. It is safe for concurrent
// use. A nil *Budget has no bound. It has no goroutine and needs no closing.
type Budget struct {
	mu         sync.Mutex
	limit      int64
	growLimit  int64 // at least limit: for tickets that grow
	maxWait    time.Duration
	maxWaiting int

	used     int64 // held by all tickets; above limit only after a Resize
	peak     int64
	tickets  int    // admitted and not released
	admitted uint64 // tickets so far; a ticket's number is its age
	clients  map[string]*client
	pass     uint64 // of growWaiting

	line      []*client     // clients with queued requests, next first
	queued    int           // requests in all queues
	growing   []*Ticket     // admitted and waiting for more, oldest first
	refused   [causes]int64 // requests
	readers   readers       // tickets whose requests are being read
	returning int64         // held by requests that were interrupted
	looking   bool          // lookAgain will be called
	lookedAt  time.Time     // when makeRoom last looked
	cancelled int64         // requests whose context ended while they waited

	unusedTickets ticketRing
	unusedClients []*client // at most maxUnused
}

// client is what one sender holds and waits for. It is in Budget.clients while
// it holds or wants anything.
type client struct {
	name    string
	used    int64
	tickets int       // admitted
	growing int       // of these, waiting
	queue   []*Ticket // to be admitted, first come first
	pass    uint64    // the last pass of growWaiting that saw its oldest growing ticket
}

// New makes a budget. It is nil, which bounds nothing, if c.Bytes is 0 or less.
func New(c Config) *Budget {
	if c.Bytes <= 0 {
		return nil
	}
	c = c.withDefaults()
	return &Budget{limit: c.Bytes, growLimit: c.GrowBytes, maxWait: c.MaxWait, maxWaiting: c.MaxWaiting, clients: map[string]*client{}}
}

// Resize changes the budget to c while it is in use. Tickets keep what they hold,
// even if it is more than c.Bytes: then no ticket gets more until enough came
// back, except as c.GrowBytes allows. Waiting requests that fit now are admitted or grow at once; those that
// are larger than the whole new budget are refused with an *Overload that says
// TooLarge. A new MaxWait is for requests that come later, and requests that
// wait already go on waiting whatever MaxWaiting is. Resize of a nil *Budget
// panics.
func (b *Budget) Resize(c Config) {
	if b == nil {
		panic("admission: Resize of a nil budget, which has no bound")
	}
	c = c.withDefaults()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resize(c)
}

func (b *Budget) resize(c Config) {
	b.limit, b.growLimit, b.maxWait, b.maxWaiting = c.Bytes, c.GrowBytes, c.MaxWait, c.MaxWaiting
	b.refuseTooLarge()
	b.settle()
}

// Acquire admits a request of client with its first n bytes, waiting for them
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

// enter admits a request, refuses it, or makes its ticket wait.
func (b *Budget) enter(ctx context.Context, client string, n int64) (t *Ticket, parked bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.limit {
		return nil, false, b.tooLarge(n)
	}
	t = b.unusedTickets.get()
	t.budget, t.client, t.ctx, t.more, t.waitLeft = b, b.clientOf(client), ctx, n, b.maxWait
	if b.queued == 0 && len(b.growing) == 0 && b.fits(t) {
		b.admit(t)
		return t, false, nil
	}
	b.enqueue(t)
	b.settle()
	switch {
	case t.state == running:
		return t, false, nil
	case !b.mayQueue(t):
		err = b.overload(t, b.others())
		b.dequeue(t)
		return nil, false, err
	}
	b.makeRoom()
	t.park()
	return t, true, nil
}

// mayQueue reports whether t, which is already in its queue, may wait there.
func (b *Budget) mayQueue(t *Ticket) bool {
	places, own := b.maxWaiting-b.queued, len(t.client.queue)
	return places >= 0 && t.waitLeft > 0 && (own == 1 || own <= places)
}

// clientOf returns the client of that name. The caller gives it a ticket.
func (b *Budget) clientOf(name string) *client {
	if c := b.clients[name]; c != nil {
		return c
	}
	var c *client
	if n := len(b.unusedClients); n > 0 {
		c, b.unusedClients = b.unusedClients[n-1], b.unusedClients[:n-1]
	} else {
		c = &client{}
	}
	c.name = name
	b.clients[name] = c
	return c
}

// forget removes a client that holds and wants nothing.
func (b *Budget) forget(c *client) {
	if c.tickets > 0 || len(c.queue) > 0 {
		return
	}
	delete(b.clients, c.name)
	c.name = ""
	if cap(c.queue) > 64 {
		c.queue = nil
	}
	if len(b.unusedClients) < maxUnused {
		b.unusedClients = append(b.unusedClients, c)
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
	if t.interrupted != nil {
		b.returning -= n
	}
}

// admit takes t's first bytes.
func (b *Budget) admit(t *Ticket) {
	t.state = running
	b.admitted++
	t.age = b.admitted
	b.tickets++
	t.client.tickets++
	b.take(t)
}

// Stats is a budget at one moment. Limit, Used and Peak are bytes, Clients is
// clients, the rest are requests.
type Stats struct {
	// Limit is 0 for a budget without a bound. Used may be more than Limit after
	// a Resize. Peak is the most since the start.
	Limit, Used, Peak int64
	Admitted          int // hold bytes now
	Clients           int // hold bytes or wait for some
	Waiting           int // to be admitted
	Growing           int // admitted, and wait for more
	RefusedFull       int64
	RefusedShare      int64
	RefusedTooLarge   int64
	RefusedSlow       int64 // interrupted, since they received too little
	// Cancelled counts those whose context ended while they waited.
	Cancelled int64
}

// Refused is how many requests were refused for any reason.
func (s Stats) Refused() int64 {
	return s.RefusedFull + s.RefusedShare + s.RefusedTooLarge + s.RefusedSlow
}

// Stats returns the state of the budget; the zero value for a nil budget.
func (b *Budget) Stats() Stats {
	if b == nil {
		return Stats{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Stats{
		Limit: b.limit, Used: b.used, Peak: b.peak,
		Admitted: b.tickets, Clients: len(b.clients), Waiting: b.queued, Growing: len(b.growing),
		RefusedFull: b.refused[full], RefusedShare: b.refused[share], RefusedTooLarge: b.refused[tooLarge], RefusedSlow: b.refused[slow],
		Cancelled: b.cancelled,
	}
	if s.Limit == noLimit {
		s.Limit = 0
	}
	return s
}
