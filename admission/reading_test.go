package admission

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// body is a Source that its test interrupts only through the budget.
type body struct{ interrupted chan *Overload }

func newBody() *body { return &body{make(chan *Overload, 1)} }

func (b *body) Interrupt(o *Overload) { b.interrupted <- o }

// owner releases its ticket as soon as it is interrupted, or when done is closed.
func (b *body) owner(k *Ticket, wg *sync.WaitGroup, done chan struct{}) {
	wg.Go(func() {
		select {
		case <-b.interrupted:
		case <-done:
		}
		_ = k.DoneReading()
		k.Release()
	})
}

// Requests that announce a body and send none do not starve one that sends, neither
// at their own address nor at another, however many there are.
func TestSilentOnesYield(t *testing.T) {
	t.Parallel()
	for _, sender := range []string{"idle", "other"} {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{Bytes: 10 * mib, MaxWaiting: 64})
			var wg sync.WaitGroup
			done := make(chan struct{})
			for range 2000 {
				wg.Go(func() {
					k, err := b.Acquire(t.Context(), "idle", 16*kib)
					if err != nil {
						return
					}
					s := newBody()
					k.Reading(s)
					s.owner(k, &wg, done)
				})
			}
			time.Sleep(silentFor + lookEvery)
			for i := range 100 {
				k, err := b.Acquire(t.Context(), sender, 80*kib)
				if err == nil {
					err = k.Reserve(2 * mib)
				}
				if err != nil {
					t.Errorf("%s: request %d: %v; %+v", sender, i, err, b.Stats())
					continue
				}
				k.Release()
			}
			close(done)
			wg.Wait()
			if s := b.Stats(); s.Used != 0 || s.RefusedSlow == 0 || b.returning != 0 || b.readers.first != nil || b.readers.last != nil {
				t.Errorf("%+v, %d returning", s, b.returning)
			}
		})
	}
}

// Nobody is refused for being slow as long as none waits.
func TestSlowOnesStayWhereThereIsRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: mib})
		k, s := get(t, b, "slow", mib/2), newBody()
		k.Reading(s)
		time.Sleep(time.Minute)
		get(t, b, "other", mib/2).Release()
		if err := k.DoneReading(); err != nil || len(s.interrupted) > 0 {
			t.Errorf("interrupted: %v", err)
		}
		k.Release()
	})
}

// Which of the requests that hold bytes are interrupted when another waits.
func TestWhoIsSlow(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arrives func(k *Ticket) // while the ticket is held, before another waits
		yields  bool
	}{
		"nothing for long":          {func(*Ticket) { time.Sleep(silentFor) }, true},
		"nothing yet":               {func(*Ticket) { time.Sleep(silentFor / 4) }, false},
		"a byte, a moment ago":      {func(k *Ticket) { k.Arrived(1); time.Sleep(silentFor + lookEvery) }, false},
		"a byte, long ago":          {func(k *Ticket) { k.Arrived(1); time.Sleep(slowFor) }, true},
		"a byte, again and again":   {func(k *Ticket) { trickle(k, 1, 100*time.Millisecond) }, true},
		"half the rate":             {func(k *Ticket) { trickle(k, leastRate/20, 100*time.Millisecond) }, true},
		"twice the rate":            {func(k *Ticket) { trickle(k, leastRate/5, 100*time.Millisecond) }, false},
		"complete":                  {func(k *Ticket) { time.Sleep(time.Minute); _ = k.DoneReading() }, false},
		"a second body, just begun": {func(k *Ticket) { time.Sleep(time.Minute); _ = k.DoneReading(); k.Reading(newBody()) }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := New(Config{Bytes: mib, MaxWait: silentFor / 2})
			k, s := get(t, b, "slow", mib), newBody()
			k.Reading(s)
			tt.arrives(k)
			var wg sync.WaitGroup
			wg.Go(func() {
				if o, err := b.Acquire(t.Context(), "other", 1); (err == nil) != tt.yields {
					t.Errorf("%s: the other got %v", name, err)
				} else if err == nil {
					o.Release()
				}
			})
			synctest.Wait()
			if yields := len(s.interrupted) > 0; yields != tt.yields {
				t.Errorf("%s: interrupted %v, want %v", name, yields, tt.yields)
			}
			var o *Overload
			if err := k.DoneReading(); errors.As(err, &o) != tt.yields {
				t.Errorf("%s: DoneReading: %v", name, err)
			} else if tt.yields && (o.RetryAfter <= 0 || o.TooLarge || !strings.Contains(o.Error(), "came too slowly")) {
				t.Errorf("%s: %v", name, o)
			}
			if err := k.Reserve(2 * mib); tt.yields && err != o {
				t.Errorf("%s: Reserve: %v", name, err)
			}
			if !tt.yields {
				wg.Wait()
			}
			k.Release()
			wg.Wait()
			if s := b.Stats(); s.Used != 0 || b.returning != 0 || (s.RefusedSlow == 1) != tt.yields {
				t.Errorf("%s: %+v, %d returning", name, s, b.returning)
			}
		})
	}
}

func trickle(k *Ticket, n int, every time.Duration) {
	for range 30 {
		time.Sleep(every)
		k.Arrived(n)
	}
}

// A burst does not allow silence after it: what counts is what has arrived since
// the last look.
func TestSilenceAfterABurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: mib})
		k, s := get(t, b, "slow", mib), newBody()
		k.Reading(s)
		k.Arrived(100 * mib)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { _, _ = b.Acquire(t.Context(), "other", 1) })
			time.Sleep(time.Second)
		}
		wg.Wait()
		if len(s.interrupted) == 0 {
			t.Errorf("after three seconds of silence it is not interrupted: %+v", b.Stats())
		}
		k.Release()
	})
}

// A request that waits for bytes itself is not slow, nor right after the wait.
func TestWaitingForBytesIsNotSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: mib, MaxWait: 20 * time.Second})
		full := get(t, b, "full", mib/2)
		k, s := get(t, b, "grows", mib/2), newBody()
		k.Reading(s)
		grown := waiting(t, func() error { return k.Reserve(mib/2 + 1) })
		time.Sleep(10 * time.Second)
		full.Shrink(mib/2 - 1)
		if err := grown(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), silentFor/2)
		defer cancel()
		if _, err := b.Acquire(ctx, "other", 1); err == nil || len(s.interrupted) > 0 {
			t.Errorf("interrupted %d times; the other: %v", len(s.interrupted), err)
		}
		k.Release()
		full.Release()
	})
}

// No more requests are interrupted than it takes, and none whose bytes do not help.
func TestNoMoreThanNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{Bytes: 10 * mib})
		var wg sync.WaitGroup
		done := make(chan struct{})
		for i := range 10 {
			k, s := get(t, b, string(rune('a'+i)), mib), newBody()
			k.Reading(s)
			s.owner(k, &wg, done)
		}
		time.Sleep(time.Minute)
		get(t, b, "other", 3*mib).Release()
		if s := b.Stats(); s.RefusedSlow != 3 {
			t.Errorf("%d were interrupted, want the three oldest", s.RefusedSlow)
		}
		close(done)
		wg.Wait()

		idle := newBody()
		k := get(t, b, "idle", mib)
		k.Reading(idle)
		greedy := get(t, b, "greedy", 6*mib)
		time.Sleep(time.Minute)
		if _, err := b.Acquire(t.Context(), "greedy", 1); err == nil { // over its share
			t.Error("the greedy one got more than its share")
		}
		if len(idle.interrupted) > 0 {
			t.Error("one was interrupted for a sender that has its share")
		}
		k.Release()
		greedy.Release()
	})
}
