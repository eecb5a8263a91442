package pipeline

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
)

// held is what a request costs beside its body in these tests.
const held = 1000

// admitted makes a batch whose bytes, and held more, are on a ticket of budget.
func admitted(t testing.TB, budget *admission.Budget) *Batch {
	t.Helper()
	buf := NewBuffer(len(request()))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, request()...)
	ticket, err := budget.Acquire(t.Context(), "a client", held+cap(buf.Bytes))
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewPooledBatch(otlp.Traces, buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b
}

// used fails the test unless budget has n bytes in use.
func used(t testing.TB, budget *admission.Budget, when string, n int) {
	t.Helper()
	if got := budget.Stats().Used; got != int64(n) {
		t.Errorf("%s: %d bytes are in use, want %d", when, got, n)
	}
}

// copyOf returns a derived batch with the same bytes in memory for n.
func copyOf(t testing.TB, b *Batch, n int) *Batch {
	t.Helper()
	buf, err := b.NewBuffer(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, b.Bytes()...)
	return b.Derive(buf, b.Items())
}

func TestBufferIsChargedFromBeforeItIsTakenUntilItIsGone(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	own := held + cap(b.Bytes())
	used(t, budget, "at first", own)

	buf, err := b.NewBuffer(t.Context(), 1<<12)
	if err != nil || len(buf.Bytes) != 0 || cap(buf.Bytes) < 1<<12 {
		t.Fatalf("%v, %d of %d bytes", err, len(buf.Bytes), cap(buf.Bytes))
	}
	used(t, budget, "with a buffer", own+cap(buf.Bytes))
	buf.Bytes = append(buf.Bytes, "hello"...)
	if err := buf.Grow(t.Context(), 100); err != nil {
		t.Fatal(err)
	}
	used(t, budget, "grown within its room", own+cap(buf.Bytes))
	if err := buf.Grow(t.Context(), 1<<14); err != nil || string(buf.Bytes) != "hello" || cap(buf.Bytes) < 1<<14+5 {
		t.Fatalf("%v, %q of %d bytes", err, buf.Bytes, cap(buf.Bytes))
	}
	used(t, budget, "grown beyond", own+cap(buf.Bytes))
	if peak := budget.Stats().Peak; peak < int64(own+1<<12+1<<14) {
		t.Errorf("the peak is %d: while it was moved, both pieces were in use", peak)
	}
	buf.Release()
	used(t, budget, "released", own)
	mustPanic(t, "Release of a buffer", buf.Release)

	b.Release()
	used(t, budget, "the end", 0)
	if s := budget.Stats(); s.Admitted != 0 {
		t.Errorf("%d tickets are left", s.Admitted)
	}
}

// The ticket outlives the request's own bytes, and holds what is alive.
func TestDerivedBatchesShareTheTicket(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	first := copyOf(t, b, 1<<12)
	second := copyOf(t, first, 1<<13)
	b1, b2, own := cap(first.Bytes()), cap(second.Bytes()), cap(b.Bytes())
	used(t, budget, "three batches", held+own+b1+b2)
	first.Release()
	used(t, budget, "two", held+own+b2)
	b.Release()
	used(t, budget, "the derived one, which an exporter keeps", held+b2)
	if s := budget.Stats(); s.Admitted != 1 {
		t.Errorf("%d tickets", s.Admitted)
	}
	third := copyOf(t, second, 1<<12)
	second.Release()
	used(t, budget, "derived after the request was gone", held+cap(third.Bytes()))
	third.Release()
	used(t, budget, "the end", 0)
}

// Derived batches and buffers are released in any order by any goroutine.
func TestTicketConcurrently(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 30})
	var all sync.WaitGroup
	for range 50 {
		b := admitted(t, budget)
		for range 8 {
			b.Retain()
			all.Go(func() {
				defer b.Release()
				d := copyOf(t, b, 300+rand.IntN(5000))
				buf, err := d.NewBuffer(context.Background(), rand.IntN(5000))
				if err != nil {
					t.Error(err)
					return
				}
				all.Go(func() {
					defer d.Release()
					defer buf.Release()
					copyOf(t, d, 10).Release()
				})
			})
		}
		b.Release()
	}
	all.Wait()
	if s := budget.Stats(); s.Used != 0 || s.Admitted != 0 {
		t.Errorf("left: %+v", s)
	}
}

func TestNoRoomIsARefusal(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 16, MaxWait: -1})
	b := admitted(t, budget)
	defer b.Release()
	before := budget.Stats().Used
	other, err := budget.Acquire(t.Context(), "another", 1<<15)
	if err != nil {
		t.Fatal(err)
	}
	var e *Error
	if buf, err := b.NewBuffer(t.Context(), 1<<15); buf != nil || !errors.As(err, &e) || e.Kind != Overloaded || e.RetryAfter < time.Second {
		t.Errorf("no room now: %v", err)
	}
	if buf, err := b.NewBuffer(t.Context(), 1<<17); buf != nil || !errors.As(err, &e) || e.Kind != Permanent {
		t.Errorf("no room ever: %v", err)
	}
	buf, err := b.NewBuffer(t.Context(), 1<<10)
	if err != nil {
		t.Fatal(err)
	}
	buf.Bytes = append(buf.Bytes, "hello"...)
	if err := buf.Grow(t.Context(), 1<<14); Classify(err).Kind != Overloaded || string(buf.Bytes) != "hello" {
		t.Errorf("no room to grow: %v, %q", err, buf.Bytes)
	}
	buf.Release()
	other.Release()
	used(t, budget, "after the refusals", int(before))

	waiting := admission.New(admission.Config{Bytes: 1 << 16, MaxWait: time.Hour})
	w := admitted(t, waiting)
	defer w.Release()
	if other, err = waiting.Acquire(t.Context(), "another", 1<<15); err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := w.NewBuffer(ctx, 1<<15); Classify(err).Kind != Retryable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the context ended: %v", err)
	}
}

// Bytes that were appended without asking for room are charged when the chain
// gets them, and memory that lies in two places does not come to the pool.
func TestBufferAppendedToBeyondItsRoom(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	defer b.Release()
	big := make([]byte, 1<<14)
	ran := false
	err := Chain(ConsumerFunc(func(_ context.Context, d *Batch) error {
		ran = true
		used(t, budget, "at the consumer", held+cap(b.Bytes())+cap(d.Bytes()))
		if cap(d.Bytes()) < len(big) {
			t.Errorf("%d bytes", cap(d.Bytes()))
		}
		return nil
	}), Step{Processor: processorFunc(func(ctx context.Context, b *Batch) (*Batch, error) {
		buf, err := b.NewBuffer(ctx, 0)
		if err != nil {
			return nil, err
		}
		defer buf.Release()
		buf.Bytes = append(append(buf.Bytes, big...)[:0], b.Bytes()...)
		return b.Derive(buf, b.Items()), nil
	})}).Consume(t.Context(), b)
	if err != nil || !ran {
		t.Fatal(err)
	}
	used(t, budget, "afterwards", held+cap(b.Bytes()))
}

func TestBufferMustNotOutliveItsBatch(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	buf, err := b.NewBuffer(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	b.Release()
	used(t, budget, "with a buffer that was forgotten", 0)
	mustPanic(t, "Release of a buffer after its batch", buf.Release)
}

func TestHoldTwicePanics(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	defer b.Release()
	d := copyOf(t, b, 10)
	defer d.Release()
	ticket, err := budget.Acquire(t.Context(), "a client", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer ticket.Release()
	mustPanic(t, "Hold", func() { b.Hold(ticket) })
	mustPanic(t, "Hold of a derived batch", func() { d.Hold(ticket) })
	b.Hold(nil)
}

// Without a budget nothing is counted, and nothing fails.
func TestBuffersWithoutATicket(t *testing.T) {
	b := newTestBatch(t)
	d := copyOf(t, b, 10)
	b.Release()
	e := copyOf(t, d, 10)
	d.Release()
	e.Release()

	buf := BufferOf(&[]byte{1, 2, 3})
	if err := buf.Grow(t.Context(), 1000); err != nil || len(buf.Bytes) != 3 {
		t.Errorf("%v, %v", err, buf.Bytes)
	}
	buf.Release()
}

func TestBuffersAllocateNothing(t *testing.T) {
	if strict {
		t.Skip("builds with the tag poison, or with the race detector, allocate on their own")
	}
	budget := admission.New(admission.Config{Bytes: 1 << 20})
	b := admitted(t, budget)
	defer b.Release()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		buf, err := b.NewBuffer(ctx, 5000)
		if err != nil {
			t.Error(err)
			return
		}
		_ = buf.Grow(ctx, 20000)
		buf.Release()
	}); n > 0 {
		t.Errorf("a buffer: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { copyOf(t, b, 5000).Release() }); n > 1 {
		t.Errorf("a derived batch: %v allocations, want that of the Batch", n)
	}
}
