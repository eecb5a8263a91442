package admission

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Ticket is what one request holds. A nil *Ticket holds nothing and may grow
// without bound. A ticket is used by one goroutine at a time, except that Add, TryAdd and
// Sub may be called by several as long as none calls another method.
type Ticket struct {
	budget *Budget
	client *client
	ctx    context.Context // of the request, which ends its waits

	held     int64 // bytes; changed by other goroutines only while the owner waits
	more     int64 // bytes wanted beyond held
	age      uint64
	grown    bool // beyond the bytes that it was admitted with
	state    state
	waitLeft time.Duration // of Config.MaxWait
	since    time.Time     // start of the current wait

	// While the request's body is being read; see reading.go.
	source         Source // nil: it is not
	previous, next *Ticket
	arrived        atomic.Int64 // bytes of the body
	seen           int64        // of them, at seenAt
	seenAt         time.Time
	interrupted    *Overload // why the source was interrupted; nil: it was not

	adding sync.Mutex    // held during Add: one goroutine at a time waits
	parked bool          // the owner waits for ready
	ready  chan struct{} // gets one value when the wait is over; has room for it
	result error         // of that wait
}

type state uint8

const (
	unused  state = iota // belongs to no request
	queued               // waits to be admitted
	running              // holds its bytes
	growing              // holds its bytes and waits for more
)

// Reserve makes the ticket hold at least total bytes, waiting for them if it
// must. After an error, as of Acquire, it holds what it held before.
func (t *Ticket) Reserve(total int) error {
	if t == nil || int64(total) <= t.held {
		return nil
	}
	parked, err := t.grow("Reserve", int64(total)-t.held)
	if parked {
		return t.await(t.ctx)
	}
	return err
}

// Add makes the ticket hold n bytes more than it does, waiting for them if it
// must. ctx ends the wait. After an error, as of Acquire, it holds what it held
// before.
func (t *Ticket) Add(ctx context.Context, n int) error {
	if t == nil || n <= 0 {
		return nil
	}
	t.adding.Lock()
	defer t.adding.Unlock()
	parked, err := t.grow("Add", int64(n))
	if parked {
		return t.await(ctx)
	}
	return err
}

// TryAdd is Add for what can be done without: it reports whether there was room, waits for
// none, and counts and interrupts nothing. While another goroutine waits in Add there is none.
func (t *Ticket) TryAdd(n int) bool {
	if t == nil || n <= 0 {
		return true
	}
	if !t.adding.TryLock() {
		return false
	}
	defer t.adding.Unlock()
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mustBeHeld("TryAdd")
	t.more = int64(n)
	if t.interrupted != nil || !b.fits(t) {
		t.more = 0
		return false
	}
	b.take(t)
	t.grown = true
	return true
}

// Sub gives n bytes back of those that the ticket holds.
func (t *Ticket) Sub(n int) {
	if t == nil || n <= 0 {
		return
	}
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if t.state != growing { // else another goroutine waits in Add
		t.mustBeHeld("Sub")
	}
	if int64(n) > t.held {
		panic("admission: Sub of more bytes than the ticket holds")
	}
	b.giveBack(t, int64(n))
	b.settle()
}

// grow takes more bytes, or parks the ticket to wait for them.
func (t *Ticket) grow(method string, more int64) (parked bool, err error) {
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mustBeHeld(method)
	if t.interrupted != nil {
		return false, t.interrupted
	}
	if total := t.held + more; total > b.growLimit {
		return false, b.tooLarge(total)
	}
	t.more = more
	if b.fits(t) { // others that grow do not, or they would not wait
		b.take(t)
		t.grown = true
		return false, nil
	}
	b.enqueue(t)
	b.settle()
	switch {
	case t.state == running:
		return false, t.result
	case t.waitLeft <= 0:
		err = b.overload(t, "")
		b.dequeue(t)
		return false, err
	}
	b.makeRoom()
	t.park()
	return true, nil
}

// Shrink gives back what is above total bytes.
func (t *Ticket) Shrink(total int) {
	if t == nil || int64(total) >= t.held {
		return
	}
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	t.mustBeHeld("Shrink")
	t.budget.giveBack(t, t.held-max(int64(total), 0))
	t.budget.settle()
}

// Release gives all bytes back. The ticket must not be used afterwards.
func (t *Ticket) Release() {
	if t == nil {
		return
	}
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	t.mustBeHeld("Release")
	t.stopReading()
	b.giveBack(t, t.held)
	b.tickets--
	t.client.tickets--
	b.drop(t)
	b.settle()
}

// mustBeHeld panics on use after Release, and on use by two goroutines.
func (t *Ticket) mustBeHeld(doing string) {
	if t.state != running {
		panic("admission: " + doing + " of a ticket that is released, or in use by another goroutine")
	}
}

// park prepares t for await. The lock is held.
func (t *Ticket) park() {
	if t.ready == nil {
		t.ready = make(chan struct{}, 1)
	}
	t.parked = true
}

// wake ends a wait with its result. The lock is held.
func (t *Ticket) wake(result error) {
	t.result = result
	if t.parked {
		t.parked = false
		t.ready <- struct{}{}
	}
}

// await waits until the ticket is admitted or grown, refused, or has waited for
// as long as it may. A ticket that is not admitted must not be used afterwards.
func (t *Ticket) await(ctx context.Context) error {
	timer := time.NewTimer(t.waitLeft)
	defer timer.Stop()
	select {
	case <-t.ready:
		return t.afterWait()
	case <-timer.C:
	case <-ctx.Done():
	}
	b := t.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if !t.parked { // woken at the same time
		<-t.ready
		return t.afterWaitLocked()
	}
	var err error
	waited := time.Since(t.since)
	if ctx.Err() != nil && waited < t.waitLeft {
		b.cancelled++
		err = fmt.Errorf("wait for %s of the memory budget: %w", size(t.more), context.Cause(ctx))
	} else {
		err = b.overload(t, fmt.Sprintf(", after waiting %s", waited.Round(time.Millisecond)))
	}
	t.parked = false
	t.waitLeft -= waited
	b.dequeue(t)
	return err
}

func (t *Ticket) afterWait() error {
	t.budget.mu.Lock()
	defer t.budget.mu.Unlock()
	return t.afterWaitLocked()
}

func (t *Ticket) afterWaitLocked() error {
	t.waitLeft -= time.Since(t.since)
	return t.result
}

// maxUnused is how many tickets and clients are kept for the next requests, and
// reuseAfter how many tickets are released after one before that one is reused.
const (
	maxUnused  = 1024
	reuseAfter = 64
)

// ticketRing is a queue, so that a ticket stays unused for as long as possible.
type ticketRing struct {
	ring  [maxUnused]*Ticket
	next  int // to be reused
	count int
}

func (q *ticketRing) get() *Ticket {
	if q.count <= reuseAfter {
		return &Ticket{}
	}
	t := q.ring[q.next]
	q.ring[q.next] = nil
	q.next = (q.next + 1) % maxUnused
	q.count--
	return t
}

func (q *ticketRing) put(t *Ticket) {
	if q.count == maxUnused {
		return
	}
	q.ring[(q.next+q.count)%maxUnused] = t
	q.count++
}
