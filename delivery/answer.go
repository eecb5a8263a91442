package delivery

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// note keeps in the journal how the records of a job are sent, so that they are sent in
// the same way after a restart; with RequestIDs also after a power cut.
func (d *Destination) note(j *job) {
	if j.noted || !d.cfg.RequestIDs && len(j.entries) < 2 && j.parts == nil {
		return
	}
	d.mu.Lock()
	err := d.cursor.Settle(d.state()) // under the mutex, so that a later state is not written before
	d.mu.Unlock()
	if err == nil && d.cfg.RequestIDs {
		err = d.cursor.Sync()
	}
	if err != nil {
		d.cfg.Logger.Warn("what is in flight was not noted: after a restart it may be divided into other requests", slog.Any("error", err))
	}
	j.noted = err == nil
}

// state is the state of the cursor now, with the requests of an earlier process that were
// not sent again yet. The mutex is held.
func (d *Destination) state() []byte {
	spans := slices.Clone(d.restored)
	for j := range d.jobs {
		switch {
		case len(j.entries) == 0:
		case j.parts != nil:
			spans = append(spans, span{j.first(), j.last(), j.entries[0].Tag, true, *j.parts})
		case len(j.entries) > 1 || d.cfg.RequestIDs:
			spans = append(spans, span{first: j.first(), last: j.last(), tag: j.entries[0].Tag})
		}
	}
	return fitState(d.tally, spans)
}

// settle does what the answer to a job asks for.
func (d *Destination) settle(j *job, b *pipeline.Batch, err error) {
	e := pipeline.Classify(err)
	d.observe(b, e)
	var tooLarge *otlpclient.TooLargeError
	switch {
	case e == nil:
		d.delivered(j, 0, nil)
	case e.Kind == pipeline.Partial:
		d.logAnswer(e)
		d.delivered(j, j.share(uint64(max(e.Rejected, 0)), b.Items()), e)
	case d.ctx.Err() != nil: // Shutdown has cut it off: the next process sends it in the same way
	case e.Kind != pipeline.Permanent:
		d.retry(j, e)
	case concernsAll[codes.Code(e.Code)]:
		d.later(j, e, true)
	case errors.As(err, &tooLarge) && len(j.entries) > 1:
		d.learnSize(tooLarge, len(b.Bytes()))
		d.halve(j)
	case errors.As(err, &tooLarge) && divisible(b):
		d.learnSize(tooLarge, len(b.Bytes()))
		d.divide(j, smallerSize(tooLarge, len(b.Bytes())))
	case len(j.entries) > 1:
		d.halve(j)
	default:
		d.bury(j, e)
	}
}

// observe measures an attempt. A Partial that rejects nothing is a success.
func (d *Destination) observe(b *pipeline.Batch, e *pipeline.Error) {
	if e != nil && e.Kind == pipeline.Partial && e.Rejected <= 0 {
		e = nil
	}
	d.cfg.Observer.Attempt(d.ctx, b.Signal(), e)
}

// delivered ends a job that the destination took, but for rejected items.
func (d *Destination) delivered(j *job, rejected uint64, e *pipeline.Error) {
	items := j.items()
	rejected = min(rejected, items)
	d.cfg.Observer.Outcome(d.ctx, d.cfg.Signal, int(items), int(rejected), e)
	d.mu.Lock()
	d.answered()
	d.acknowledge(j, tally{delivered: items - rejected, rejected: rejected})
}

// answered notes that the destination takes requests. The mutex is held.
func (d *Destination) answered() {
	d.pace.reset()
	d.limit = min(d.limit+1, d.cfg.MaxInFlight)
	d.outage.over(d.cfg.Logger, int64(len(d.jobs)))
}

// acknowledge ends a job whose items have become of what the tally says, and keeps the
// counts. The mutex is held, and released.
func (d *Destination) acknowledge(j *job, of tally) {
	delete(d.jobs, j)
	// Under the mutex, so that a later state is not written before.
	err := d.cursor.SettleHeld(func(held journal.Held) []byte {
		d.tally = d.tally.plus(of.atMost(held.Units))
		return d.state()
	}, j.entries...)
	d.signalRoom()
	d.mu.Unlock()
	if err != nil {
		d.cfg.Logger.Error("the counts of a destination were not kept", slog.Any("error", err))
	}
}

// retry sends a job again later, unless it was tried for too long.
func (d *Destination) retry(j *job, e *pipeline.Error) {
	if d.cfg.givesUp(j.begun) {
		d.giveUp(j, e)
		return
	}
	d.later(j, e, false)
}

// later makes a job wait. slow says that the destination takes nothing until someone
// changes something: it is asked at the longest interval.
func (d *Destination) later(j *job, e *pipeline.Error, slow bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.outage.failed(d.cfg.Logger, d.cfg.Signal, causeOf(e), int64(len(d.jobs)))
	after := e.RetryAfter
	if slow {
		after = max(after, d.cfg.MaxBackoff)
	}
	if now := time.Now(); !now.Before(d.pace.notBefore) { // else another job has just failed for the same reason
		d.pace.failed(now, after)
	}
	d.limit = max(1, d.limit/2)
	d.retries = append(d.retries, j)
}

func causeOf(e *pipeline.Error) error {
	if e.Err != nil {
		return e.Err
	}
	return e
}

// halve sends the halves of a job on their own, at once.
func (d *Destination) halve(j *job) {
	a, b := j.halves()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.jobs, j)
	d.jobs[a], d.jobs[b] = true, true
	d.retries = append([]*job{a, b}, d.retries...)
}

// learnSize keeps the size of requests below the n bytes that the destination has refused.
func (d *Destination) learnSize(e *otlpclient.TooLargeError, n int) {
	size := smallerSize(e, n)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sizeMax == 0 || size < d.sizeMax {
		d.sizeMax = size
		d.cfg.Logger.Warn("the destination does not accept requests of this size; smaller ones are sent from now on", slog.Int("bytes", size), slog.Any("error", e.Err))
	}
}

// giveUp buries the records of a job, one by one.
func (d *Destination) giveUp(j *job, e *pipeline.Error) {
	for len(j.entries) > 1 {
		one := &job{entries: j.entries[:1:1], begun: j.begun}
		rest := &job{entries: j.entries[1:], begun: j.begun}
		d.mu.Lock()
		delete(d.jobs, j)
		d.jobs[one], d.jobs[rest] = true, true
		d.mu.Unlock()
		d.bury(one, e)
		j = rest
	}
	d.bury(j, e)
}

// bury ends a job of one record that is not sent any more: it goes to the dead letters.
func (d *Destination) bury(j *job, e *pipeline.Error) {
	items := j.items()
	switch err := d.keepDead(j.entries[0], e); {
	case isLost(err): // the cursor has counted it
		d.end(j)
		return
	case err != nil:
		d.later(j, pipeline.Classify(err), false)
		return
	}
	d.logDead(items, e)
	d.mu.Lock()
	d.acknowledge(j, d.deadTally(items))
}

// deadTally counts items that are not sent any more.
func (d *Destination) deadTally(items uint64) tally {
	if d.cfg.DeadLetters == nil {
		return tally{rejected: items}
	}
	return tally{dead: items}
}

// keepDead hands a record to DeadLetters.
func (d *Destination) keepDead(e journal.Entry, why *pipeline.Error) error {
	if d.cfg.DeadLetters == nil {
		return nil
	}
	size := int(e.PayloadBytes())
	ticket, err := d.cfg.Memory.Acquire(d.ctx, d.cfg.Name, bufpool.Class(size))
	if err != nil {
		return err
	}
	if ticket != nil {
		defer ticket.Release()
	}
	buf := bufpool.Get(size)
	defer bufpool.Put(buf)
	if err = d.cursor.Read(d.ctx, e, (*buf)[:size]); err != nil {
		return err
	}
	return d.cfg.DeadLetters(d.ctx, DeadLetter{Destination: d.cfg.Name, Record: (*buf)[:size], Items: uint64(e.Units), Err: why})
}

// isLost reports whether a record is not in the journal any more.
func isLost(err error) bool {
	return errors.Is(err, journal.ErrDamaged) || errors.Is(err, journal.ErrDropped)
}

// end is acknowledge for a job of which nothing is left to be sent.
func (d *Destination) end(j *job) {
	d.mu.Lock()
	d.acknowledge(j, tally{})
}

// logAnswer logs what the destination says of a request that it took.
func (d *Destination) logAnswer(e *pipeline.Error) {
	if n, ok := d.warnings.Allow(warningEvery); ok {
		d.cfg.Logger.Warn("the destination took the data with a warning (logged at most once in "+warningEvery.String()+")",
			slog.String("signal", d.cfg.Signal.String()), slog.Int64("rejected", e.Rejected), slog.Any("warning", e.Err), slog.Int64("warnings", n))
	}
}

// fitState leaves out spans that do not fit: their records may be divided in another way
// after a restart.
func fitState(t tally, spans []span) []byte {
	for {
		b := appendState(nil, t, sorted(spans))
		if len(b) <= journal.MaxCursorState {
			return b
		}
		spans = spans[:len(spans)/2]
	}
}
