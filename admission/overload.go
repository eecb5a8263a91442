package admission

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Overload is a refusal: too few bytes are free, or the client has its share.
type Overload struct {
	// Reason says how much is in use by how many requests. It may be shown to
	// the client.
	Reason string
	// RetryAfter is when to try again. It varies at random so that refused clients
	// do not all return at the same time. It is 0 if TooLarge.
	RetryAfter time.Duration
	// TooLarge says that the request is larger than the whole budget, so that
	// trying again does not help.
	TooLarge bool
}

func (o *Overload) Error() string {
	if o.RetryAfter == 0 {
		return o.Reason
	}
	return fmt.Sprintf("%s; retry after %s", o.Reason, o.RetryAfter)
}

// A cause is why a request was refused, for the counts.
type cause uint8

const (
	full     cause = iota // not enough is free
	share                 // enough is free, but the client has its share
	tooLarge              // more than the whole budget
	slow                  // others need its bytes, and it receives too little
	causes
)

// tooLarge counts and describes a request whose total bytes are more than the
// whole budget.
func (b *Budget) tooLarge(total int64) *Overload {
	b.refused[tooLarge]++
	return &Overload{TooLarge: true, Reason: fmt.Sprintf(
		"a request of %s is larger than the whole memory budget of %s", size(total), size(b.limit))}
}

// overload counts and describes the refusal of t, which wants more bytes. detail
// is added to the reason.
func (b *Budget) overload(t *Ticket, detail string) *Overload {
	o := &Overload{RetryAfter: b.retryAfter()}
	total := fmt.Sprintf("%s of %s in use by %s", size(b.used), size(b.limit), requests(b.tickets))
	if t.more <= b.freeFor(t) && t.client.used > t.held {
		b.refused[share]++
		o.Reason = fmt.Sprintf("over this sender's share of the memory budget: it holds %s with %s; %s",
			size(t.client.used), requests(t.client.tickets), total)
	} else {
		b.refused[full]++
		o.Reason = "over the memory budget: " + total
	}
	o.Reason += detail
	return o
}

// retryAfter is 1 s, plus up to 1 s at random, plus up to 3 s at random, the more
// the fuller the queues are; in steps of 100 ms, to be readable.
func (b *Budget) retryAfter() time.Duration {
	tenths := 10 + rand.IntN(11)
	if b.maxWaiting > 0 {
		tenths += rand.IntN(1 + 30*min(b.queued, b.maxWaiting)/b.maxWaiting)
	}
	return time.Duration(tenths) * 100 * time.Millisecond
}

// others says how many wait besides the one that may not.
func (b *Budget) others() string {
	if b.queued < 2 {
		return ""
	}
	return fmt.Sprintf(", and %s waiting already", requests(b.queued-1))
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return fmt.Sprintf("%d requests", n)
}

// size prints n as a whole number in the largest unit that leaves at least two
// digits.
func size(n int64) string {
	switch {
	case n >= 10<<20:
		return fmt.Sprintf("%d MiB", n>>20)
	case n >= 10<<10:
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d B", n)
}
