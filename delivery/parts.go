package delivery

import (
	"errors"
	"log/slog"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// progress is how far the one record of a job is that is sent in parts. The mutex is held
// to change it, since it is in the state of the cursor.
type progress struct {
	limits         otlp.SplitLimits // Skip is what is settled
	rejected, dead uint64           // items of what is settled
}

// step is what follows an attempt to send a part.
type step int

const (
	proceed step = iota // the part is settled
	smaller             // the limits of the parts have changed
	putOff              // the job waits, or was given back
)

// plan decides, before a job is sent first, whether its record is sent in parts: what was
// sent as a whole may have arrived, and is sent as a whole until it is refused.
func (d *Destination) plan(j *job) {
	if j.parts != nil || j.whole || len(j.entries) != 1 {
		return
	}
	e, limits := j.entries[0], d.cfg.divide
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.sizeMax > 0 && (limits.MaxBytes == 0 || d.sizeMax < limits.MaxBytes) {
		limits.MaxBytes = d.sizeMax
	}
	if limits.MaxItems > 0 && int(e.Units) > limits.MaxItems || limits.MaxBytes > 0 && int(e.Length) > limits.MaxBytes {
		j.parts = &progress{limits: limits}
		return
	}
	j.whole = true
}

// partsRoom is what sending a record of n bytes in parts takes beside it: a part and its
// dead letter, and for what cannot be concatenated the places of a dictionary's entries.
func (d *Destination) partsRoom(j *job, n int) int {
	switch {
	case j.parts == nil:
		return 0
	case d.cfg.Signal.Spec().Concatenable:
		return 2 * n
	}
	return mergeFactor * n
}

// divisible reports whether a request has several parts.
func divisible(b *pipeline.Batch) bool {
	for p := range otlp.Split(b.Signal(), b.Bytes(), otlp.SplitLimits{MaxItems: 1, MaxBytes: 1}) {
		return !p.Last
	}
	return false
}

// divide sends the record of a job again, at once, in parts of at most size bytes.
func (d *Destination) divide(j *job, size int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	j.parts, j.noted = &progress{limits: otlp.SplitLimits{MaxItems: d.cfg.divide.MaxItems, MaxBytes: size}}, false
	d.retries = append([]*job{j}, d.retries...)
}

// sendParts sends the parts of a record that are not settled, one after the other, and
// acknowledges the record after the last.
func (d *Destination) sendParts(j *job, b *pipeline.Batch) {
	for {
		next := proceed
		for p := range otlp.Split(b.Signal(), b.Bytes(), j.parts.limits) {
			if next = d.sendPart(j, b, p); next != proceed {
				break
			}
		}
		switch next {
		case proceed:
			d.endParts(j, b.Items())
			return
		case putOff:
			return
		}
	}
}

func (d *Destination) sendPart(j *job, whole *pipeline.Batch, p otlp.Portion) step {
	b := whole
	if p.Entries < p.End || !p.Last {
		b = pipeline.NewUncheckedBatch(whole.Signal(), p.Request, p.Items, whole.Client())
		b.MarkShared() // it may be sent again
		defer b.Release()
	}
	d.note(j)
	e := pipeline.Classify(d.send(j, b, p.End))
	d.observe(b, e)
	var tooLarge *otlpclient.TooLargeError
	switch {
	case e == nil:
		d.partDelivered(j, p, 0, nil)
	case e.Kind == pipeline.Partial:
		d.logAnswer(e)
		d.partDelivered(j, p, min(uint64(max(e.Rejected, 0)), uint64(p.Items)), e)
	case d.ctx.Err() != nil:
		return putOff
	case e.Kind != pipeline.Permanent && d.cfg.givesUp(j.begun):
		return d.buryPart(j, b, p, e)
	case e.Kind != pipeline.Permanent, concernsAll[codes.Code(e.Code)]:
		d.later(j, e, e.Kind == pipeline.Permanent)
		return putOff
	case errors.As(e, &tooLarge) && p.Entries > 1:
		d.learnSize(tooLarge, len(p.Request))
		size := smallerSize(tooLarge, len(p.Request))
		d.mu.Lock()
		j.parts.limits.MaxBytes, j.noted = size, false
		d.mu.Unlock()
		return smaller
	default:
		return d.buryPart(j, b, p, e)
	}
	return proceed
}

// partDelivered notes a part that the destination took, but for rejected items. The
// ledger has it as held until the record is settled.
func (d *Destination) partDelivered(j *job, p otlp.Portion, rejected uint64, e *pipeline.Error) {
	d.cfg.Observer.Outcome(d.ctx, d.cfg.Signal, p.Items, int(rejected), e)
	d.merged(Filled, p.Items, len(p.Request))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answered()
	j.parts.rejected += rejected
	j.parts.limits.Skip, j.noted = p.End, false
}

// buryPart adds a part to the dead letters.
func (d *Destination) buryPart(j *job, b *pipeline.Batch, p otlp.Portion, e *pipeline.Error) step {
	if d.cfg.DeadLetters != nil {
		r := record.Of(b)
		buf, err := record.Append(nil, &r, d.keep)
		if err == nil {
			err = d.cfg.DeadLetters(d.ctx, DeadLetter{Destination: d.cfg.Name, Record: buf, Items: uint64(p.Items), Err: e})
		}
		if err != nil {
			d.later(j, pipeline.Classify(err), false)
			return putOff
		}
	}
	d.logDead(uint64(p.Items), e)
	d.merged(Filled, p.Items, len(p.Request))
	d.mu.Lock()
	defer d.mu.Unlock()
	j.parts.dead += uint64(p.Items)
	j.parts.limits.Skip, j.noted = p.End, false
	return proceed
}

// endParts acknowledges a record, a batch of so many items, whose parts are all settled.
func (d *Destination) endParts(j *job, batch int) {
	items := j.items()
	rejected := j.share(j.parts.rejected, batch)
	dead := min(j.share(j.parts.dead, batch), items-rejected)
	d.mu.Lock()
	of := d.deadTally(dead)
	d.acknowledge(j, of.plus(tally{delivered: items - rejected - dead, rejected: rejected}))
}

// smallerSize is the size of the next try after a request of n bytes was too large.
func smallerSize(e *otlpclient.TooLargeError, n int) int {
	size := n
	if e.Limit > 0 && e.Limit < int64(n) {
		size = int(e.Limit)
	}
	if e.Limit > 0 && n < e.Uncompressed { // the limit is for JSON, which is larger
		size = min(size, int(float64(e.Limit)*float64(n)/float64(e.Uncompressed)))
	}
	if size >= n {
		size = n / 2
	}
	return max(size, 1)
}

// logDead counts and logs items that are dead letters.
func (d *Destination) logDead(items uint64, e *pipeline.Error) {
	d.cfg.Observer.Outcome(d.ctx, d.cfg.Signal, int(items), int(items), e)
	if n, ok := d.warnings.Allow(warningEvery); ok {
		d.cfg.Logger.Error("a request is not sent any more (logged at most once in "+warningEvery.String()+")",
			slog.String("signal", d.cfg.Signal.String()), slog.Uint64("items", items), slog.Any("error", causeOf(e)), slog.Int64("requests", n))
	}
}
