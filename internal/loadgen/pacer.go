package loadgen

import (
	"context"
	"sync"
	"time"
)

// pacer hands out the requests of a run, each when it is due. Workers that wait
// for the next burst are woken by one goroutine, which sleeps in between.
type pacer struct {
	schedule schedule // if paced
	paced    bool
	limit    uint64 // requests in all
	toTheEnd bool   // the run goes on until its end when all are released

	mu       sync.Mutex
	more     sync.Cond
	released uint64 // requests that are due
	taken    uint64
	waiting  int
	closed   bool
}

// newPacer returns a pacer for a number of requests, at a rate; 0 is as fast as
// it goes. A run that ends by time has no request that is due at its end, or
// later; duration 0 is no end.
func newPacer(start time.Time, requestsPerSecond float64, limit uint64, duration time.Duration) *pacer {
	p := &pacer{limit: limit, paced: requestsPerSecond > 0}
	p.more.L = &p.mu
	if !p.paced {
		p.released = limit
		return p
	}
	p.schedule = newSchedule(start, requestsPerSecond)
	if duration > 0 {
		if n := p.schedule.requestsWithin(duration); n < limit {
			p.limit, p.toTheEnd = n, true
		}
	}
	return p
}

// next waits until a request is due and returns its number and the time when it
// was due; the zero time if it just goes. ok is false at the end of the run.
func (p *pacer) next() (n uint64, due time.Time, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.taken == p.released && p.taken < p.limit && !p.closed {
		p.waiting++
		p.more.Wait()
		p.waiting--
	}
	if p.closed || p.taken == p.limit {
		return 0, time.Time{}, false
	}
	n = p.taken
	p.taken++
	if p.paced {
		due = p.schedule.due(p.schedule.burst(n))
	}
	return n, due, true
}

// run releases burst after burst until all requests are released, or ctx ends,
// whose error it then returns.
func (p *pacer) run(ctx context.Context) error {
	if !p.paced {
		return nil
	}
	clock, err := newAlarm(ctx)
	if err != nil {
		return err
	}
	defer clock.close()
	for burst, done := uint64(0), false; !done; {
		if err := clock.sleep(p.schedule.due(burst)); err != nil {
			return err
		}
		// A machine that was busy may have slept over several.
		for now := time.Now(); !done && !p.schedule.due(burst).After(now); burst++ {
			done = p.release(p.schedule.size)
		}
	}
	if p.toTheEnd {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// release makes n more requests due and wakes as many workers. It says whether
// those were the last.
func (p *pacer) release(n uint64) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = min(p.released+n, p.limit)
	for range min(n, uint64(p.waiting)) {
		p.more.Signal()
	}
	if p.released == p.limit {
		p.more.Broadcast() // there is nothing left to wait for
	}
	return p.released == p.limit || p.closed
}

// close ends the run: whoever asks for a request gets none.
func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.more.Broadcast()
}

// unsent returns how many requests were due and nobody had time for.
func (p *pacer) unsent() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paced {
		return 0
	}
	return p.released - p.taken
}
