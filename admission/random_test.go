package admission

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Many goroutines make random operations. The sums are always right, no request
// waits forever, and all bytes are released.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { randomOperations(t, seed, false) })
	}
}

// The same while the budget is resized again and again.
func TestRandomResizes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		synctest.Test(t, func(t *testing.T) { randomOperations(t, seed, true) })
	}
}

func FuzzRandomOperations(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) { randomOperations(t, seed, false) })
		synctest.Test(t, func(t *testing.T) { randomOperations(t, seed, true) })
	})
}

func randomOperations(t *testing.T, seed uint64, resizing bool) {
	rng := rand.New(rand.NewPCG(seed, 7))
	randomConfig := func(rng *rand.Rand) Config {
		return Config{
			Bytes:      100 + rng.Int64N(900),
			MaxWait:    time.Duration(rng.IntN(50)-1) * time.Millisecond,
			MaxWaiting: rng.IntN(20) - 1,
		}
	}
	b := New(randomConfig(rng))
	most := newBounds(b)
	clients, largest := 1+rng.IntN(8), 1+rng.IntN(int(b.limit)+10)
	var mu sync.Mutex
	held := map[*Ticket]bool{}
	stop := make(chan struct{})
	var wg, resizer sync.WaitGroup
	if resizing {
		r := rand.New(rand.NewPCG(rng.Uint64(), 2))
		resizer.Go(func() {
			for pause := time.Duration(r.IntN(20)) * time.Millisecond; ; {
				select {
				case <-stop:
					return
				case <-time.After(pause + time.Duration(r.IntN(3000))*time.Microsecond):
					most.resize(b, randomConfig(r))
				}
			}
		})
	}
	for range 1 + rng.IntN(30) {
		r := rand.New(rand.NewPCG(rng.Uint64(), 1))
		wg.Go(func() {
			for range 20 {
				oneRequest(t, b, r, fmt.Sprint(r.IntN(clients)), largest, func(k *Ticket, here bool) {
					mu.Lock()
					defer mu.Unlock()
					if delete(held, k); here {
						held[k] = true
					}
				})
			}
		})
	}
	go func() { wg.Wait(); close(stop) }()
	for {
		select {
		case <-stop:
			resizer.Wait()
			verifyRules(t, b, nil)
			if s := b.Stats(); s.Used != 0 || s.Waiting != 0 || s.Growing != 0 || s.Clients != 0 || s.Admitted != 0 {
				t.Fatalf("seed %d: at the end %+v", seed, s)
			}
			return
		case <-time.After(200 * time.Microsecond):
		}
		synctest.Wait() // all sleep or wait
		mu.Lock()
		var tickets []*Ticket
		for k := range held {
			tickets = append(tickets, k)
		}
		verifyRules(t, b, tickets)
		most.verify(t, b)
		mu.Unlock()
	}
}

// bounds is what a budget that is resized may hold at most. The budget's lock
// guards it.
type bounds struct {
	used    int64 // now: what was held at the last Resize, less what came back
	peak    int64 // the largest limit so far
	waiting int   // now: what waited at the last Resize, less what left
}

func newBounds(b *Budget) *bounds {
	return &bounds{used: b.limit, peak: b.limit, waiting: b.maxWaiting}
}

func (m *bounds) resize(b *Budget, c Config) {
	c = c.withDefaults()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resize(c)
	m.used, m.peak, m.waiting = max(b.used, b.growLimit), max(m.peak, b.used, b.growLimit), max(b.queued, b.maxWaiting)
}

func (m *bounds) verify(t *testing.T, b *Budget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used > m.used || b.peak > m.peak || b.queued > m.waiting {
		t.Errorf("in use %d of %d, peak %d of %d, %d of %d queue", b.used, m.used, b.peak, m.peak, b.queued, m.waiting)
	}
	m.used, m.waiting = max(b.used, b.growLimit), max(b.queued, b.maxWaiting)
}

// oneRequest is admitted, grows, shrinks and is released, with random pauses. It
// calls now when it is admitted and just before it is released.
func oneRequest(t *testing.T, b *Budget, r *rand.Rand, client string, largest int, now func(k *Ticket, here bool)) {
	nap := func() { time.Sleep(time.Duration(r.IntN(3000)) * time.Microsecond) }
	nap()
	ctx := t.Context()
	if r.IntN(4) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(r.IntN(20))*time.Millisecond)
		defer cancel()
	}
	k, err := b.Acquire(ctx, client, r.IntN(largest))
	checkRefusal(t, err, ctx.Err())
	if err != nil {
		return
	}
	now(k, true)
	s := newBody()
	if reads := r.IntN(2) == 0; reads {
		k.Reading(s)
	}
	for range r.IntN(5) {
		nap()
		before, allowed, paused := k.held, k.waitLeft, time.Now()
		n := r.IntN(largest)
		switch r.IntN(6) {
		case 0, 1:
			k.Shrink(n)
			continue
		case 2:
			k.Arrived(n)
			time.Sleep(time.Duration(r.IntN(2)) * silentFor)
			continue
		case 3:
			if err := k.DoneReading(); (err != nil) != (len(s.interrupted) > 0) {
				t.Errorf("DoneReading: %v, interrupted %d times", err, len(s.interrupted))
			}
			continue
		}
		err := k.Reserve(n)
		checkRefusal(t, err, ctx.Err())
		if waited := time.Since(paused); waited > max(allowed, 0) {
			t.Errorf("waited %s of %s", waited, max(allowed, 0))
		}
		if err == nil && k.held != max(before, int64(n)) || err != nil && k.held != before {
			t.Errorf("Reserve(%d) of %d: %v, and now %d", n, before, err, k.held)
		}
	}
	now(k, false)
	k.Release()
}

func checkRefusal(t *testing.T, err, ended error) {
	var o *Overload
	if err != nil && !errors.As(err, &o) && (ended == nil || !errors.Is(err, ended)) {
		t.Errorf("unexpected: %v", err)
	}
}
