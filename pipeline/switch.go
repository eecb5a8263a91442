package pipeline

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Switch is a consumer that passes batches on to another, which can be replaced
// while batches come in:
//
//	receivers ──► Switch ──► graph          old := s.Turn(newGraph)
//	                 ╲                       old.Wait(ctx) // no call is inside it
//	                  ► new graph            … shut the old one down …
//
// A call costs a load of the pointer and, so that Wait can be sure, a count in
// and a count out. The counts are spread over cache lines by where the batch
// lies: batches made on one processor core lie together, so that calls on
// different cores rarely use the same line.
type Switch struct{ current atomic.Pointer[Turned] }

// NewSwitch returns a Switch that passes batches on to first.
func NewSwitch(first Consumer) *Switch {
	s := &Switch{}
	s.current.Store(newTurned(first))
	return s
}

// Turn makes next the consumer of all calls that begin from now on, and of those that
// Hold made wait. It returns the one before, in which earlier calls may still be.
func (s *Switch) Turn(next Consumer) (previous *Turned) {
	previous = s.current.Swap(newTurned(next))
	if h, ok := previous.consumer.(*holding); ok {
		close(h.turned)
	}
	return previous
}

// Hold makes all calls that begin from now on wait for Turn. It returns the consumer of
// the earlier ones, for one that has to be stopped before the next can start. It is not
// called twice without a Turn between.
func (s *Switch) Hold() (previous *Turned) {
	h := &holding{of: s, turned: make(chan struct{})}
	t := newTurned(h)
	for {
		previous = s.current.Load()
		h.capabilities = previous.consumer.Capabilities()
		if s.current.CompareAndSwap(previous, t) {
			return previous
		}
	}
}

// holding is the consumer of a Switch that has none.
type holding struct {
	of           *Switch
	capabilities Capabilities
	turned       chan struct{}
}

func (h *holding) Capabilities() Capabilities { return h.capabilities }

func (h *holding) Consume(ctx context.Context, b *Batch) error {
	if err := h.wait(ctx); err != nil {
		return err
	}
	return h.of.Consume(ctx, b)
}

func (h *holding) wait(ctx context.Context) error {
	select {
	case <-h.turned:
		return nil
	case <-ctx.Done():
		return &Error{Kind: Retryable, Err: fmt.Errorf("wait for the next consumer: %w", context.Cause(ctx))}
	}
}

// Capabilities are those of the present consumer. A Fanout asks when it is made
// and is right whatever the switch is turned to, since Batch.Edit asks the batch. A
// receiver asks for each request.
func (s *Switch) Capabilities() Capabilities {
	return s.current.Load().consumer.Capabilities()
}

// Consume passes b on to the present consumer.
func (s *Switch) Consume(ctx context.Context, b *Batch) error {
	t, calls := s.enter(b)
	defer t.leave(calls)
	return t.consumer.Consume(ctx, b)
}

// Do calls f with the present consumer as Consume calls it: Wait waits for f to return,
// and while the switch is held Do waits for the next consumer.
func (s *Switch) Do(ctx context.Context, b *Batch, f func(Consumer) error) error {
	for {
		t, calls := s.enter(b)
		h, isHeld := t.consumer.(*holding)
		if !isHeld {
			defer t.leave(calls)
			return f(t.consumer)
		}
		t.leave(calls)
		if err := h.wait(ctx); err != nil {
			return err
		}
	}
}

// enter counts a call in with the present consumer.
func (s *Switch) enter(b *Batch) (*Turned, *callCount) {
	for {
		t := s.current.Load()
		calls := &t.calls[uintptr(unsafe.Pointer(b))>>spanBits%uintptr(len(t.calls))]
		calls.Add(1)
		if s.current.Load() == t {
			return t, calls
		}
		t.leave(calls) // it was turned in between, and Wait may have returned
	}
}

// spanBits: the runtime gives each processor core pieces of 8 KiB of its own for
// small objects such as a Batch.
const spanBits = 13

// Turned is a consumer that a Switch passes batches on to, or did.
type Turned struct {
	consumer Consumer
	calls    [64]callCount // inside consumer, and those that find out that they are late
	waited   atomic.Bool   // Wait was called
	left     chan struct{} // holds a word if a call left since
}

// callCount has a cache line, and its neighbour, for itself.
type callCount struct {
	atomic.Int64
	_ [120]byte
}

func newTurned(c Consumer) *Turned {
	return &Turned{consumer: c, left: make(chan struct{}, 1)}
}

// Consumer returns the consumer.
func (t *Turned) Consumer() Consumer { return t.consumer }

// Wait returns when no call is inside the consumer and none will be, or with
// what ended ctx. It is called after Turn, by one goroutine at a time.
func (t *Turned) Wait(ctx context.Context) error {
	t.waited.Store(true)
	// A count that was once 0 since the switch was turned stays so, but for calls
	// that came late and turn back.
	for i := range t.calls {
		for t.calls[i].Load() != 0 {
			select {
			case <-t.left:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
	return nil
}

func (t *Turned) leave(calls *callCount) {
	calls.Add(-1)
	if t.waited.Load() {
		select {
		case t.left <- struct{}{}:
		default:
		}
	}
}
