package pprofreceiver

import (
	"context"
	"time"
)

// loop calls round now and then until ctx ends: after delay, and from then on at
// every multiple of the interval that it is not late for. Finish ends it after a round.
func (e *Engine) loop(ctx context.Context, every, delay time.Duration, round func()) {
	due := time.Now().Add(delay)
	timer := time.NewTimer(delay)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.last:
			return
		case <-timer.C:
		}
		round()
		if ctx.Err() != nil {
			return
		}
		turns := time.Since(due)/every + 1
		e.skipped.Add(int64(turns - 1))
		due = due.Add(turns * every)
		timer.Reset(time.Until(due))
	}
}

// A rotation is a list of jobs and where a round begins in it.
type rotation struct {
	jobs  []*jobState
	first int
}

// round fetches the jobs of a target, one after the other. When the target does
// not answer, the rest is left out, and the next round begins with them: else
// each job would wait for its timeout, and the last ones never have a turn.
func (e *Engine) round(ctx context.Context, t *target, r *rotation) {
	for i := range r.jobs {
		at := (r.first + i) % len(r.jobs)
		j := r.jobs[at]
		n, err := e.measured(ctx, "http", j.kind, func(ctx context.Context) (counts, error) { return e.fetchJob(ctx, t, j) })
		e.ended(t.health, j.kind, n, err)
		if err == nil {
			continue
		}
		switch causeOf(err) {
		case causeRefused, causeTransport, causeTimeout:
			r.first = (at + 1) % len(r.jobs)
			return
		case causeStopped:
			return
		}
	}
}

func (e *Engine) fetchJob(ctx context.Context, t *target, j *jobState) (counts, error) {
	asked := time.Now()
	return t.fetch(ctx, e, j.job, func(body []byte, r *room) (counts, error) {
		done := time.Now()
		t.health.fetched(len(body))
		return e.parsed(ctx, body, r, false, func(a *answer) (counts, error) {
			a.resource, a.attributes, a.named, a.asked, a.done = t.resource, j.attributes, j.named, asked, done
			return e.deliver(j, a)
		})
	})
}
