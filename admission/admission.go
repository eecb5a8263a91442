// Package admission bounds the bytes that requests hold while they are in the
// process.
package admission

import (
	"context"
	"time"
)

// Config describes a budget.
type Config struct {
	Bytes      int64         // all that may be held at a time
	MaxWait    time.Duration // how long a request waits for its bytes
	MaxWaiting int           // how many requests may wait
}

// Budget is a number of bytes that requests share. A nil *Budget has no bound.
type Budget struct{}

// New makes a budget.
func New(c Config) *Budget { return &Budget{} }

// Acquire takes n bytes for a request of client.
func (b *Budget) Acquire(ctx context.Context, client string, n int) (*Ticket, error) {
	return nil, nil
}

// Ticket is what one request holds. A nil *Ticket holds nothing and may grow
// without bound.
type Ticket struct{}

// Reserve makes the ticket hold at least total bytes.
func (t *Ticket) Reserve(total int) error { return nil }

// Shrink gives back what is above total.
func (t *Ticket) Shrink(total int) {}

// Release gives everything back. The ticket must not be used after.
func (t *Ticket) Release() {}
