package delivery

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Where a failure is returned at once, nobody waits for the attempts of others.
func TestDirectWithoutRetriesDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: down}
		d := newDirect(a, func(c *DestinationConfig) { c.GiveUpAfter = -1 })
		begun := time.Now()
		for range 5 {
			if err := d.Consume(t.Context(), ofLogs(t, 1)); !errors.Is(err, errAway.Err) {
				t.Errorf("got %v, want the destination's failure", err)
			}
		}
		if calls, _ := a.count(); calls != 5 || time.Since(begun) != 0 {
			t.Errorf("%d attempts in %v, want 5 at once", calls, time.Since(begun))
		}
		balance(t, d.Ledger())
	})
}

// A sender waits no longer than a request is tried, also for the attempts of others.
func TestDirectGivesUpWhileOthersTry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &answers{answer: down}
		d := newDirect(a, func(c *DestinationConfig) { c.GiveUpAfter = 10 * time.Second })
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				begun := time.Now()
				e := pipeline.Classify(d.Consume(t.Context(), ofLogs(t, 1)))
				if e == nil || e.Kind != pipeline.Retryable {
					t.Errorf("got %v, want a failure that asks to retry", e)
				}
				if waited := time.Since(begun); waited > 20*time.Second {
					t.Errorf("a sender waited %v, want 10 s and an interval", waited)
				}
			})
		}
		wg.Wait()
		balance(t, d.Ledger())
	})
}

// A request that is beyond a bound by itself is taken when nothing else is held: it would
// never be otherwise.
func TestLargerThanTheBound(t *testing.T) {
	for name, change := range map[string]func(*DestinationConfig){
		"items":    func(c *DestinationConfig) { c.MaxHeldItems = 2 },
		"bytes":    func(c *DestinationConfig) { c.MaxHeldBytes = 1 },
		"blocking": func(c *DestinationConfig) { c.MaxHeldItems, c.Block = 2, true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := DestinationConfig{Next: &backend{}}
				change(&cfg)
				p := open(t, disk(t, vfs.NewMem(16<<20)), cfg)
				p.dest.Start()
				for range 3 {
					if err := p.log.Consume(canceledAfter(t, time.Minute), ofLogs(t, 5)); err != nil {
						t.Error(err)
					}
					synctest.Wait()
				}
				p.end()
				if err := newDirect(&answers{}, change).Consume(canceledAfter(t, time.Minute), ofLogs(t, 5)); err != nil {
					t.Errorf("in memory: %v", err)
				}
			})
		})
	}
}

// Unblock ends the waits for room: a process that ends does not wait for its clients.
func TestUnblock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &backend{}
		b.respond(func(int, []string) error { return errDown })
		p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, MaxHeldRequests: 2, Block: true})
		p.dest.Start()
		p.fill(0, 2)
		result := make(chan error)
		go func() { result <- p.log.Consume(t.Context(), ofLogs(t, 1)) }()
		synctest.Wait()
		p.dest.Unblock()
		for range 2 {
			if err := <-result; !errors.Is(err, ErrQueueFull) || pipeline.Classify(err).Kind != pipeline.Overloaded {
				t.Errorf("got %v, want that the queue is full", err)
			}
			go func() { result <- p.log.Consume(t.Context(), ofLogs(t, 1)) }()
		}
		<-result
		p.end()
	})
}

// However many senders come at the same time, or wait for room, no more is held than the
// bound.
func TestBoundOfManySenders(t *testing.T) {
	for name, block := range map[string]bool{"refused": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &backend{}
				b.respond(func(int, []string) error { return errDown })
				p := open(t, disk(t, vfs.NewMem(16<<20)), DestinationConfig{Next: b, MaxHeldRequests: 5, Block: block, Merge: Merge{MaxItems: 1}})
				p.dest.Start()
				var wg sync.WaitGroup
				var most, taken atomic.Uint64
				for range 100 {
					wg.Go(func() {
						batch := ofLogs(t, 1)
						if p.log.Consume(t.Context(), batch) == nil {
							taken.Add(1)
						}
						most.Store(max(most.Load(), p.dest.cursor.Held().Records))
					})
				}
				time.Sleep(time.Minute)
				if !block { // while one enters it counts twice for a moment, so that less than five may be taken at once
					wg.Wait()
					for p.log.Consume(t.Context(), ofLogs(t, 1)) == nil {
						taken.Add(1)
					}
				}
				b.respond(nil)
				wg.Wait()
				if most.Load() > 5 {
					t.Errorf("%d requests were held, want 5 at most", most.Load())
				}
				if want := map[bool]uint64{false: 5, true: 100}[block]; taken.Load() != want {
					t.Errorf("%d requests were taken, want %d", taken.Load(), want)
				}
				p.end()
			})
		})
	}
}
