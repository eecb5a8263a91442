package frontend_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// Requests enter, leave and find the tracker closed in any order; the channel is
// closed when the last of those that entered has left.
func TestInFlight(t *testing.T) {
	t.Parallel()
	for range 200 {
		f := frontend.NewInFlight()
		var inside, entered atomic.Int64
		var requests sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			requests.Go(func() {
				<-begin
				for range 50 {
					if !f.Enter() {
						continue
					}
					entered.Add(1)
					inside.Add(1)
					inside.Add(-1)
					f.Leave()
				}
			})
		}
		close(begin)
		for range 2 { // may be called twice
			select {
			case <-f.Close():
			case <-time.After(10 * time.Second):
				t.Fatal("no request is left, and the channel is open")
			}
		}
		if inside.Load() != 0 || f.Open() {
			t.Fatalf("%d requests in a closed tracker, open %v", inside.Load(), f.Open())
		}
		was := entered.Load()
		requests.Wait()
		if f.Enter() || entered.Load() != was || f.Count() != 0 {
			t.Fatalf("%d entered after the tracker was empty and closed, %d are left", entered.Load()-was, f.Count())
		}
	}
	f := frontend.NewInFlight()
	for range 2 {
		if !f.Enter() {
			t.Fatal("an open tracker admits none")
		}
	}
	empty := f.Close()
	for left := 2; left > 0; left-- {
		select {
		case <-empty:
			t.Fatalf("the channel is closed with %d requests", left)
		default:
		}
		if f.Count() != left {
			t.Errorf("%d requests, want %d", f.Count(), left)
		}
		f.Leave()
	}
	<-empty
}
