package loadgen

import (
	"context"
	"sync"
	"time"
)

// pacer hands out the requests of a run, each when it is due. One goroutine sleeps until
// the next burst and then wakes the workers that wait for it.
type pacer struct {
	schedule schedule // if paced
	paced    bool
	limit    uint64 // requests in all
	toTheEnd bool   // run waits for the end of its context after all are released

	mu       sync.Mutex
	more     sync.Cond
	released uint64 // the number of requests that are due
	taken    uint64
	waiting  int
	closed   bool
}

// newPacer returns a pacer for at most limit requests at a rate; 0 means as fast as
// possible. A round is the number of signals. If duration is not 0, no request is due at its end or later.
func newPacer(start time.Time, requestsPerSecond float64, round int, limit uint64, duration time.Duration) *pacer {
	p := &pacer{limit: limit, paced: requestsPerSecond > 0}
	p.more.L = &p.mu
	if !p.paced {
		p.released = limit
		return p
	}
	p.schedule = newSchedule(start, requestsPerSecond, round)
	if duration > 0 {
		if n := p.schedule.requestsWithin(duration); n < limit {
			p.limit, p.toTheEnd = n, true
		}
	}
	return p
}

// next waits until a request is due and returns its number and the time at which it was
// due; the zero time if there is no rate. ok is false at the end of the run.
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

// run releases bursts until all requests are released, or until the end of ctx, whose
// error it then returns.
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
		// On a busy machine several bursts can be due.
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

// release makes n more requests due and wakes as many workers. It reports whether no
// more are to be released.
func (p *pacer) release(n uint64) (done bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.released = min(p.released+n, p.limit)
	for range min(n, uint64(p.waiting)) {
		p.more.Signal()
	}
	if p.released == p.limit {
		p.more.Broadcast() // nothing left to wait for
	}
	return p.released == p.limit || p.closed
}

// close ends the run: next returns false from now on.
func (p *pacer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.more.Broadcast()
}

// unsent returns the number of requests that are due and that no worker has taken.
func (p *pacer) unsent() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.paced {
		return 0
	}
	return p.released - p.taken
}
