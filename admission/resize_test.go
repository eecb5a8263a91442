package admission

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waiting starts call, which must wait, and returns a function that reports how
// it ended: it must have ended by then.
func waiting(t *testing.T, call func() error) (result func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- call() }()
	synctest.Wait()
	if len(done) > 0 {
		t.Fatalf("does not wait: %v", <-done)
	}
	return func() error {
		t.Helper()
		synctest.Wait()
		if len(done) == 0 {
			t.Fatal("still waits")
		}
		return <-done
	}
}

// acquire is an Acquire in the form that waiting takes. It stores the ticket.
func acquire(t *testing.T, b *Budget, client string, n int, to **Ticket) func() error {
	return func() (err error) {
		*to, err = b.Acquire(t.Context(), client, n)
		return err
	}
}

func TestResizeUpAdmitsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		all, grower := get(t, b, "a", 80), get(t, b, "b", 20)
		var c, d *Ticket
		grown := waiting(t, func() error { return grower.Reserve(50) })
		admitted := waiting(t, acquire(t, b, "c", 30, &c))
		larger := waiting(t, acquire(t, b, "d", 100, &d))
		began := time.Now()
		b.Resize(Config{Bytes: 160, MaxWait: time.Hour})
		if err := errors.Join(grown(), admitted()); err != nil {
			t.Error(err)
		}
		verify(t, b, []*Ticket{all, grower, c})
		want := Stats{Limit: 160, Used: 160, Peak: 160, Admitted: 3, Clients: 4, Waiting: 1}
		if got := b.Stats(); got != want || time.Since(began) != 0 {
			t.Errorf("after %s %+v, want %+v", time.Since(began), got, want)
		}
		b.Resize(Config{Bytes: 260})
		if err := larger(); err != nil {
			t.Error(err)
		}
		for _, k := range []*Ticket{all, grower, c, d} {
			k.Release()
		}
		verify(t, b, nil)
	})
}

func TestResizeDownTakesNothingAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		x, y := get(t, b, "x", 50), get(t, b, "y", 50)
		b.Resize(Config{Bytes: 40, MaxWait: -1})
		if got, want := b.Stats(), (Stats{Limit: 40, Used: 100, Peak: 100, Admitted: 2, Clients: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for range 2 { // while more is held than there is, not even a request of no bytes fits
			_, err := b.Acquire(t.Context(), "z", 0)
			var o *Overload
			if !errors.As(err, &o) || o.TooLarge || o.Reason != "over the memory budget: 100 B of 40 B in use by 2 requests" {
				t.Errorf("got %v", err)
			}
		}
		b.Resize(Config{Bytes: 40, MaxWait: time.Hour})
		var z *Ticket
		admitted := waiting(t, acquire(t, b, "z", 10, &z))
		if err := y.Reserve(50); err != nil { // what it has
			t.Error(err)
		}
		var o *Overload
		if err := y.Reserve(51); !errors.As(err, &o) || !o.TooLarge || y.held != 50 {
			t.Errorf("got %v, holds %d", err, y.held)
		}
		x.Shrink(10)
		y.Shrink(21) // 31 are in use
		synctest.Wait()
		verifyRules(t, b, []*Ticket{x, y})
		y.Shrink(20)
		if err := admitted(); err != nil {
			t.Error(err)
		}
		verifyRules(t, b, []*Ticket{x, y, z})
		if s := b.Stats(); s.Used != 40 || s.Peak != 100 || s.RefusedFull != 2 || s.RefusedTooLarge != 1 {
			t.Errorf("%+v", s)
		}
		for _, k := range []*Ticket{x, y, z} {
			k.Release()
		}
		verifyRules(t, b, nil)
	})
}

// A request that the new budget can never take does not wait, and does
// not keep those behind it waiting.
func TestResizeRefusesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		x, grower, small := get(t, b, "x", 70), get(t, b, "grower", 20), get(t, b, "small", 10)
		var none, never, second, third *Ticket
		grown := waiting(t, func() error { return grower.Reserve(61) })
		fits := waiting(t, func() error { return small.Reserve(60) })
		refused := []func() error{
			waiting(t, acquire(t, b, "q", 61, &none)),
			waiting(t, acquire(t, b, "p", 100, &never)),
		}
		behind := waiting(t, acquire(t, b, "q", 30, &second))
		again := waiting(t, acquire(t, b, "q", 30, &third))
		b.Resize(Config{Bytes: 60, MaxWait: time.Hour})
		for i, result := range append(refused, grown) {
			var o *Overload
			if err := result(); !errors.As(err, &o) || !o.TooLarge || o.RetryAfter != 0 {
				t.Errorf("%d: got %v", i, err)
			}
		}
		want := Stats{Limit: 60, Used: 100, Peak: 100, Admitted: 3, Clients: 4, Waiting: 2, Growing: 1, RefusedTooLarge: 3}
		if got := b.Stats(); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		verifyRules(t, b, []*Ticket{x, grower, small})
		x.Release()
		grower.Release()
		if err := fits(); err != nil {
			t.Error(err)
		}
		small.Release()
		if err := errors.Join(behind()); err != nil {
			t.Error(err)
		}
		second.Release()
		if err := again(); err != nil {
			t.Error(err)
		}
		third.Release()
		verifyRules(t, b, nil)
		if s := b.Stats(); s.Clients != 0 || s.Used != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// When all admitted requests wait after a Resize, the youngest is refused, so
// that the others finish.
func TestResizeDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		x, old, young := get(t, b, "x", 50), get(t, b, "old", 20), get(t, b, "young", 20)
		first := waiting(t, func() error { return old.Reserve(40) })
		next := waiting(t, func() error { return young.Reserve(40) })
		b.Resize(Config{Bytes: 45, MaxWait: time.Hour})
		x.Release()
		var o *Overload
		if err := next(); !errors.As(err, &o) || o.TooLarge {
			t.Errorf("got %v", err)
		}
		young.Release()
		if err := first(); err != nil {
			t.Error(err)
		}
		old.Release()
		verifyRules(t, b, nil)
	})
}

func TestResizeChangesTheShare(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 300, MaxWait: -1})
	fill := func(held []*Ticket) []*Ticket {
		for {
			k, err := b.Acquire(t.Context(), "greedy", 1)
			if err != nil {
				return held
			}
			held = append(held, k)
		}
	}
	held := fill(nil)
	for _, c := range []struct{ limit, share int }{{600, 400}, {400, 400}, {900, 600}} { // two thirds of it, once it has it
		b.Resize(Config{Bytes: int64(c.limit), MaxWait: -1})
		if held = fill(held); len(held) != c.share {
			t.Errorf("of %d one client has %d, want %d", c.limit, len(held), c.share)
		}
		verifyRules(t, b, held)
	}
	for _, k := range held {
		k.Release()
	}
}

func TestResizeChangesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 10, MaxWait: time.Hour, MaxWaiting: 2})
		all := get(t, b, "holder", 10)
		var first, second *Ticket
		results := []func() error{waiting(t, acquire(t, b, "a", 1, &first)), waiting(t, acquire(t, b, "b", 1, &second))}
		b.Resize(Config{Bytes: 10, MaxWait: time.Second, MaxWaiting: 1})
		if _, err := b.Acquire(t.Context(), "c", 1); err == nil {
			t.Error("no bound on the queue")
		}
		if s := b.Stats(); s.Waiting != 2 {
			t.Errorf("%+v", s)
		}
		b.Resize(Config{Bytes: 10, MaxWait: time.Second, MaxWaiting: 3})
		began := time.Now()
		if _, err := b.Acquire(t.Context(), "c", 1); err == nil || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		all.Release()
		for _, result := range results { // they may still wait for an hour
			if err := result(); err != nil {
				t.Error(err)
			}
		}
		first.Release()
		second.Release()
		verifyRules(t, b, nil)
	})
}

func TestResizeLiftsTheBound(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 10, MaxWait: -1})
	b.Resize(Config{})
	k := get(t, b, "a", math.MaxInt64/4)
	if s := b.Stats(); s.Limit != 0 || s.Used != math.MaxInt64/4 {
		t.Errorf("%+v", s)
	}
	k.Release()
	b.Resize(Config{Bytes: 10, MaxWait: -1})
	var o *Overload
	if _, err := b.Acquire(t.Context(), "a", 11); !errors.As(err, &o) || !o.TooLarge {
		t.Errorf("got %v", err)
	}
	if s := b.Stats(); s.Limit != 10 {
		t.Errorf("%+v", s)
	}
}

func TestResizeOfNothingPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("a bound was set on a budget that cannot have one")
		}
	}()
	var b *Budget
	b.Resize(Config{Bytes: 1})
}

// Resize in real time, beside all other calls: for the race detector.
func TestResizeBesideEverything(t *testing.T) {
	t.Parallel()
	b := New(Config{Bytes: 1000, MaxWait: time.Millisecond})
	most := newBounds(b)
	stop := time.Now().Add(300 * time.Millisecond)
	var wg sync.WaitGroup
	for i := range 8 {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		wg.Go(func() {
			for time.Now().Before(stop) {
				k, err := b.Acquire(t.Context(), fmt.Sprint(r.IntN(4)), r.IntN(900))
				checkRefusal(t, err, nil)
				if err != nil {
					continue
				}
				before, n := k.held, r.IntN(1100)
				err = k.Reserve(n)
				checkRefusal(t, err, nil)
				if err == nil && k.held != max(before, int64(n)) || err != nil && k.held != before {
					t.Errorf("Reserve(%d) of %d: %v, and now %d", n, before, err, k.held)
				}
				k.Shrink(r.IntN(500))
				k.Release()
			}
		})
	}
	wg.Go(func() {
		r := rand.New(rand.NewPCG(0, 4))
		for time.Now().Before(stop) {
			most.resize(b, Config{Bytes: 1 + r.Int64N(1000), GrowBytes: r.Int64N(1500), MaxWait: time.Millisecond})
			most.verify(t, b)
		}
	})
	wg.Wait()
	verifyRules(t, b, nil)
	if s := b.Stats(); s.Used != 0 || s.Waiting != 0 || s.Growing != 0 || s.Clients != 0 || s.Admitted != 0 {
		t.Errorf("at the end %+v", s)
	}
}

// With GrowBytes, requests in flight finish after a Resize to less, and no other is
// admitted before they have.
func TestResizeDownLetsRequestsInFlightGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 100, MaxWait: time.Hour})
		x, y := get(t, b, "x", 50), get(t, b, "y", 30)
		b.Resize(Config{Bytes: 40, GrowBytes: 100, MaxWait: time.Hour})
		if err := x.Reserve(60); err != nil {
			t.Error(err)
		}
		grown := waiting(t, func() error { return x.Reserve(80) })
		var z *Ticket
		admitted := waiting(t, acquire(t, b, "z", 40, &z))
		y.Release()
		if err := grown(); err != nil {
			t.Error(err)
		}
		verifyRules(t, b, []*Ticket{x})
		x.Release()
		if err := admitted(); err != nil {
			t.Error(err)
		}
		b.Resize(Config{Bytes: 40, MaxWait: time.Hour})
		var o *Overload
		if err := z.Reserve(41); !errors.As(err, &o) || !o.TooLarge {
			t.Errorf("got %v, want too large", err)
		}
		z.Release()
		verifyRules(t, b, nil)
	})
}
