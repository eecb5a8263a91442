package loadgen

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"
)

func TestScheduleKeepsTheRate(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, rate := range []float64{0.1, 1, 3, 99.5, 1000, 1999, 2001, 3333, 10_000, 123_456, 1e6} {
		s := newSchedule(start, rate, 1)
		if got := s.due(0); got != start {
			t.Errorf("%v/s: the first request is due at %s", rate, got)
		}
		// Request n is due n/rate after the start, or slightly earlier with its burst.
		for _, n := range []uint64{1, 7, 1000, 36_000_000} {
			at := float64(n) / rate
			got := s.due(s.burst(n)).Sub(start).Seconds()
			if early := at - got; early < -1e-6*at || early > float64(s.size)/rate {
				t.Errorf("%v/s: request %d is due after %v s, want %v", rate, n, got, at)
			}
		}
		if gap := time.Duration(s.interval); gap < burstEvery-time.Nanosecond {
			t.Errorf("%v/s: bursts every %s", rate, gap)
		}
		if s.size > 1 && time.Duration(s.interval) > 2*burstEvery {
			t.Errorf("%v/s: bursts of %d every %s", rate, s.size, time.Duration(s.interval))
		}
	}
}

func TestScheduleEnds(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		rate float64
		d    time.Duration
		want uint64
	}{
		{1, 2 * time.Second, 2}, {10, 600 * time.Millisecond, 6}, {10, 601 * time.Millisecond, 7}, {1, time.Millisecond, 1},
		{3, time.Hour, 3 * 3600}, {10_000, time.Second, 10_000}, {0.1, 95 * time.Second, 10},
	} {
		if got := newSchedule(time.Now(), test.rate, 1).requestsWithin(test.d); got != test.want {
			t.Errorf("%v/s within %s: %d requests, want %d", test.rate, test.d, got, test.want)
		}
	}
}

// At a low rate a burst has a request of each signal. The rate is the same.
func TestScheduleOfRounds(t *testing.T) {
	t.Parallel()
	start := time.Unix(1000, 0)
	for _, test := range []struct {
		rate     float64
		round    int
		size     uint64
		interval time.Duration
	}{
		{1, 4, 4, 4 * time.Second}, {0.04, 4, 4, 100 * time.Second}, {3.9, 4, 4, 4_000_000_000 * 10 / 39},
		{4, 4, 1, 250 * time.Millisecond}, {0.5, 1, 1, 2 * time.Second}, {10_000, 4, 5, burstEvery},
	} {
		s := newSchedule(start, test.rate, test.round)
		if got := time.Duration(s.interval); s.size != test.size || got != test.interval {
			t.Errorf("%v/s of %d signals: %d every %s, want %d every %s", test.rate, test.round, s.size, got, test.size, test.interval)
		}
	}
}

// drain takes all requests of a pacer with several workers. It returns which were
// taken, and how long it took.
func drain(ctx context.Context, t *testing.T, p *pacer, workers int) (taken []bool, elapsed time.Duration) {
	t.Helper()
	start := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for {
				n, due, ok := p.next()
				if !ok {
					return
				}
				if p.paced && time.Now().Before(due) {
					t.Errorf("request %d was handed out %s early", n, time.Until(due))
				}
				mu.Lock()
				for uint64(len(taken)) <= n {
					taken = append(taken, false)
				}
				if taken[n] {
					t.Errorf("request %d was handed out twice", n)
				}
				taken[n] = true
				mu.Unlock()
			}
		})
	}
	if err := p.run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	wg.Wait()
	return taken, time.Since(start)
}

// 10,000 requests per second, within 2 %, with a fraction of a core. A busy machine can
// need several attempts; a pacer that is wrong, or spins, always fails.
func TestPacerIsAccurateAndCheap(t *testing.T) {
	const rate, n = 10_000, 10_000
	var elapsed, cpu time.Duration
	for range 8 {
		before := processCPU()
		taken, took := drain(context.Background(), t, newPacer(time.Now(), rate, 1, n, 0), 4)
		elapsed, cpu = took, processCPU()-before
		if len(taken) != n {
			t.Fatalf("%d requests, want %d", len(taken), n)
		}
		// The last request is due one interval before the end of the second.
		if got := n / elapsed.Seconds() / rate; math.Abs(got-1) < 0.02 && cpu < elapsed/2 {
			t.Logf("%.4f of the rate, %s of CPU", got, cpu)
			return
		}
	}
	t.Errorf("%d requests at %d/s took %s and %s of CPU", n, rate, elapsed, cpu)
}

func TestPacerWithoutRateHandsOutAll(t *testing.T) {
	t.Parallel()
	taken, _ := drain(context.Background(), t, newPacer(time.Now(), 0, 1, 1000, 0), 8)
	for n, ok := range taken {
		if !ok {
			t.Errorf("request %d is missing", n)
		}
	}
	if len(taken) != 1000 {
		t.Errorf("%d requests", len(taken))
	}
}

// The end of ctx wakes the pacer from a long sleep, and close wakes the workers.
func TestPacerIsStopped(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	p := newPacer(time.Now(), 1.0/3600, 1, math.MaxUint64, 0) // one an hour
	go func() {
		for p.takenNow() == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		p.close()
	}()
	if taken, _ := drain(ctx, t, p, 3); len(taken) != 1 {
		t.Errorf("%d requests, want 1", len(taken))
	}
	if n, _, ok := p.next(); ok {
		t.Errorf("a closed pacer hands out request %d", n)
	}
}

func (p *pacer) takenNow() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}
