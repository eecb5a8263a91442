// Package held charges to the memory budget what a receiver holds after its requests
// are answered: the caches, samples and unsent requests of a reporter. A request's own
// ticket ends with the request.
//
//	Reserve ─► the memory grows ─► Settle ─► … ─► Close
//	 before it does                 gives back what was reserved and not used
//
// What is held may stay for hours. So all accounts of a Group together leave half of
// the budget to requests, and a client with accounts leaves room to others.
//
// The one trap: Reserve promises room for what comes next, beside what is held at the
// moment. Growth in the background must be covered by Config.Bytes.
package held

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
)

// Config is what an account is made with.
type Config struct {
	// Budget pays; nil has no bound.
	Budget *admission.Budget
	// Group bounds the account together with others; nil does not.
	Group *Group
	// Client is who the memory is for, in fair shares.
	Client string
	// Bytes returns what is held now, with all that it can become without another
	// Reserve. It is called with the account's lock held.
	Bytes func() int64
}

// Account is what one reporter holds. It is safe for concurrent use.
type Account struct {
	Config
	ctx    context.Context // of the ticket; ends with Close
	cancel context.CancelFunc

	mu      sync.Mutex
	ticket  *admission.Ticket // nil until it is needed
	charged int64
	room    int64 // of charged, what was neither held at the last look nor reserved since
	closed  bool
}

// stepBytes is how much is reserved at a time, so that Bytes is called rarely.
const stepBytes = 64 << 10

// New returns an account that holds nothing.
func New(c Config) *Account {
	a := &Account{Config: c}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// Reserve makes room for n bytes more than are held. ctx ends its wait. The error is
// an *admission.Overload, or wraps the cause of ctx's end; what was reserved before
// stays reserved.
func (a *Account) Reserve(ctx context.Context, n int) error {
	if a.Budget == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if int64(n) > a.room {
		if err := a.look(ctx, int64(n)); err != nil {
			return err
		}
	}
	a.room -= int64(n)
	return nil
}

// Try is Reserve for what can be done without: the entries of caches. It leaves room to
// others, and reports whether there is any. A group's account may grow to as much as is
// free in its half of the budget, of which a quarter stays free.
func (a *Account) Try(n int) bool {
	if a.Budget == nil {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if int64(n) > a.room {
		if !a.Group.spares(a.Budget, a.Client, a.charged, max(int64(n), stepBytes)) || a.look(a.ctx, int64(n)) != nil {
			return false
		}
	}
	a.room -= int64(n)
	return true
}

// look finds out what is held, and makes room for n bytes and more beside it.
func (a *Account) look(ctx context.Context, n int64) error {
	held := a.Bytes()
	a.room = a.charged - held
	if err := a.grow(ctx, max(n, stepBytes)-a.room); err != nil {
		return err
	}
	a.room = a.charged - held
	return nil
}

// grow charges more bytes.
func (a *Account) grow(ctx context.Context, more int64) error {
	if more <= 0 {
		return nil
	}
	if a.closed {
		return &admission.Overload{Reason: "what the memory is for has ended", RetryAfter: retryAfter()}
	}
	if err := a.Group.take(a.Budget, a.Client, more); err != nil {
		return err
	}
	var err error
	if a.ticket == nil {
		a.ticket, err = a.Budget.Acquire(a.ctx, a.Client, int(more))
	} else {
		err = a.ticket.Add(ctx, int(more))
	}
	if err != nil {
		a.Group.giveBack(a.Client, more)
		return err
	}
	a.charged += more
	return nil
}

// Settle gives back what was reserved and is not held.
func (a *Account) Settle() {
	if a.Budget == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.Bytes()
	if more := a.charged - held; more > 0 {
		a.ticket.Sub(int(more))
		a.Group.giveBack(a.Client, more)
		a.charged = held
	}
	a.room = a.charged - held
}

// Charged returns how many bytes the account has of the budget.
func (a *Account) Charged() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.charged
}

// Close gives everything back: nothing is held any more. It may be called twice.
func (a *Account) Close() {
	a.cancel()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.ticket.Release()
	a.Group.giveBack(a.Client, a.charged)
	a.ticket, a.charged, a.room = nil, 0, 0
}

// Group is accounts that are bounded together. The zero value is ready for use.
//
// Together they hold at most half of the budget. A client with accounts may hold at
// most twice what is then free of this half, as in package admission.
type Group struct {
	mu      sync.Mutex
	bytes   int64
	clients map[string]int64
}

// groupDivisor: a group may hold one half of the budget.
const groupDivisor = 2

// spareDivisor: a quarter of it stays free for what cannot be done without.
const spareDivisor = 4

// take counts n bytes more of a client.
func (g *Group) take(budget *admission.Budget, client string, n int64) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit := budget.Stats().Limit; limit > 0 {
		if err := g.check(limit/groupDivisor, client, n); err != nil {
			return err
		}
	}
	if g.clients == nil {
		g.clients = map[string]int64{}
	}
	g.bytes += n
	g.clients[client] += n
	return nil
}

// check is the rule: part is what all clients together may hold.
func (g *Group) check(part int64, client string, n int64) error {
	free, own := part-g.bytes, g.clients[client]
	switch {
	case n > part/3*2:
		return &admission.Overload{TooLarge: true, Reason: fmt.Sprintf(
			"%d KiB to be kept of one sender are too many: all senders may have %d KiB, half of the memory budget", n>>10, part>>10)}
	case n > free:
		return &admission.Overload{RetryAfter: retryAfter(), Reason: fmt.Sprintf(
			"%d KiB are kept of all senders, who may have %d KiB, half of the memory budget", g.bytes>>10, part>>10)}
	case own+n > 2*(free-n):
		return &admission.Overload{RetryAfter: retryAfter(), Reason: fmt.Sprintf(
			"%d KiB are kept of this sender, and %d KiB are free of the %d KiB for all senders (half of the memory budget): a sender may have twice what is free",
			own>>10, free>>10, part>>10)}
	}
	return nil
}

// spares reports whether an account that has own bytes should get n more.
func (g *Group) spares(budget *admission.Budget, client string, own, n int64) bool {
	limit := budget.Stats().Limit
	if g == nil || limit <= 0 {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	part := limit / groupDivisor
	return own+n <= part-g.bytes && g.check(part, client, n+part/spareDivisor) == nil
}

func (g *Group) giveBack(client string, n int64) {
	if g == nil || n == 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bytes -= n
	if g.clients[client] -= n; g.clients[client] <= 0 {
		delete(g.clients, client)
	}
}

// retryAfter is one to two seconds, at random.
func retryAfter() time.Duration { return time.Second + rand.N(time.Second).Round(100*time.Millisecond) }
