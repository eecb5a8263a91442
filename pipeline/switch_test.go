package pipeline

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// counted counts calls, and those that are inside after it was closed. Tests under
// load need it to be cheap, and testkit.Sink imports this package.
type counted struct {
	calls  atomic.Int64
	inside atomic.Int64
	closed atomic.Bool
	late   *atomic.Int64
}

func (c *counted) Capabilities() Capabilities { return Capabilities{} }
func (c *counted) Consume(context.Context, *Batch) error {
	c.inside.Add(1)
	defer c.inside.Add(-1)
	if c.closed.Load() {
		c.late.Add(1)
	}
	c.calls.Add(1)
	runtime.Gosched()
	if c.closed.Load() {
		c.late.Add(1)
	}
	return nil
}

// The switch is turned under load: no call is lost, and none is inside a consumer
// after Wait has returned.
func TestSwitchUnderLoad(t *testing.T) {
	var late, sent atomic.Int64
	first := &counted{late: &late}
	s := NewSwitch(first)
	all := []*counted{first}
	stop := make(chan struct{})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			b := newTestBatch(t)
			defer func() { b.Release() }()
			for {
				for range 100 {
					if err := s.Consume(context.Background(), b); err != nil {
						t.Error(err)
					}
					sent.Add(1)
				}
				b.Release() // the next one lies elsewhere
				b = newTestBatch(t)
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	for range 300 {
		next := &counted{late: &late}
		all = append(all, next)
		old := s.Turn(next)
		if err := old.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		c := old.Consumer().(*counted)
		if n := c.inside.Load(); n != 0 {
			t.Fatalf("%d calls are inside after Wait", n)
		}
		c.closed.Store(true)
	}
	close(stop)
	load.Wait()
	var got int64
	for _, c := range all {
		got += c.calls.Load()
	}
	if got != sent.Load() || late.Load() != 0 {
		t.Errorf("%d calls of %d arrived, %d of them late", got, sent.Load(), late.Load())
	}
}

func TestWaitOfASwitchWaitsForWhatIsInside(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := ConsumerFunc(func(context.Context, *Batch) error { time.Sleep(time.Minute); return errors.New("busy") })
		s := NewSwitch(busy)
		b := newTestBatch(t)
		defer b.Release()
		began := time.Now()
		for i := range 3 {
			go func() {
				time.Sleep(time.Duration(i) * time.Second)
				if err := s.Consume(context.Background(), b); err == nil || err.Error() != "busy" {
					t.Errorf("got %v", err)
				}
			}()
		}
		time.Sleep(10 * time.Second)
		old := s.Turn(nop())
		if err := s.Consume(t.Context(), b); err != nil {
			t.Errorf("after Turn: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := old.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Wait says %v", err)
		}
		if err := old.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 62*time.Second {
			t.Errorf("Wait returned after %s", d)
		}
	})
}

// A call that panics is no longer inside.
func TestSwitchCountsPanicsOut(t *testing.T) {
	s := NewSwitch(ConsumerFunc(func(context.Context, *Batch) error { panic("boom") }))
	b := newTestBatch(t)
	defer b.Release()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is gone")
			}
		}()
		_ = s.Consume(t.Context(), b)
	}()
	if err := s.Turn(nop()).Wait(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSwitchHasTheCapabilitiesOfItsConsumer(t *testing.T) {
	s := NewSwitch(&fake{mutates: true})
	if !s.Capabilities().MutatesData {
		t.Error("at first")
	}
	s.Turn(&fake{})
	if s.Capabilities().MutatesData {
		t.Error("after Turn")
	}
}

func TestSwitchAllocatesNothing(t *testing.T) {
	s := NewSwitch(nop())
	b := newTestBatch(t)
	defer b.Release()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _ = s.Consume(ctx, b) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSwitch(b *testing.B) {
	s := NewSwitch(nop())
	b.Run("one", func(b *testing.B) {
		batch := newTestBatch(b)
		defer batch.Release()
		for b.Loop() {
			_ = s.Consume(context.Background(), batch)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			batch := newTestBatch(b)
			defer batch.Release()
			for pb.Next() {
				_ = s.Consume(context.Background(), batch)
			}
		})
	})
}

// While a switch is held calls wait for the next consumer, those that Do makes too.
func TestSwitchHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBatch(t)
		defer b.Release()
		first, second := &counted{}, &counted{}
		s := NewSwitch(first)
		if err := s.Consume(t.Context(), b); err != nil {
			t.Error(err)
		}
		old := s.Hold()
		if old.Consumer() != Consumer(first) || old.Wait(t.Context()) != nil {
			t.Errorf("held: %v", old.Consumer())
		}
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				if err := s.Consume(t.Context(), b); err != nil {
					t.Error(err)
				}
			})
			calls.Go(func() {
				err := s.Do(t.Context(), b, func(c Consumer) error { return c.Consume(t.Context(), b) })
				if err != nil {
					t.Error(err)
				}
			})
		}
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var refused *Error
		for _, err := range []error{s.Consume(late, b), s.Do(late, b, func(Consumer) error { return nil })} {
			if !errors.As(err, &refused) || refused.Kind != Retryable || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call whose time is over: %v", err)
			}
		}
		synctest.Wait()
		if n := first.calls.Load() + second.calls.Load(); n != 1 {
			t.Errorf("%d calls while the switch is held", n-1)
		}
		s.Turn(second)
		calls.Wait()
		if first.calls.Load() != 1 || second.calls.Load() != 6 {
			t.Errorf("%d calls of the first, %d of the second", first.calls.Load(), second.calls.Load())
		}
	})
}

// Wait waits for what Do calls.
func TestSwitchWaitsForDo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newTestBatch(t)
		defer b.Release()
		s := NewSwitch(&counted{})
		end := make(chan struct{})
		go s.Do(t.Context(), b, func(Consumer) error { <-end; return nil })
		synctest.Wait()
		old := s.Turn(&counted{})
		late, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := old.Wait(late); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call is inside: %v", err)
		}
		close(end)
		if err := old.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
