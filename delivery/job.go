package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// job is one or several records that are sent as one request.
type job struct {
	entries []journal.Entry
	begun   time.Time // of the first attempt; zero: there was none
	parts   *progress // nil: it is sent as a whole
	whole   bool      // it was sent as a whole
	noted   bool      // the state of the cursor has how it is sent now
	trigger MergeTrigger
}

func (j *job) first() uint64 { return j.entries[0].Sequence }
func (j *job) last() uint64  { return j.entries[len(j.entries)-1].Sequence }

func (j *job) items() (n uint64) {
	for _, e := range j.entries {
		n += uint64(e.Units)
	}
	return n
}

// share translates a number of a batch's items into items of the job. They differ where
// Log.Add got another number than the batch has.
func (j *job) share(n uint64, items int) uint64 {
	return uint64(lostItems(int64(j.items()), int64(n), int64(items)))
}

// halves splits the job.
func (j *job) halves() (a, b *job) {
	half := len(j.entries) / 2
	return &job{entries: j.entries[:half:half], begun: j.begun}, &job{entries: j.entries[half:], begun: j.begun}
}

// forming is a job to which entries are added.
type forming struct {
	job         *job
	items, size int
	last        uint64    // of a job that an earlier process had in flight: its last sequence; else 0
	until       time.Time // when it is sent as it is
}

func (f *forming) tag() uint16 { return f.job.entries[0].Tag }

// isWhole reports whether f is all of a job that an earlier process had in flight.
func (f *forming) isWhole() bool { return f.last > 0 && f.job.last() >= f.last }

const (
	// restoreWait is how long the rest of a job is waited for that an earlier process had
	// in flight: the records are there, unless they are damaged.
	restoreWait = time.Second
	// maxForming is how many jobs are formed at a time, each of records with other metadata;
	// maxFormingEntries bounds their records.
	maxForming        = 64
	maxFormingEntries = 16 << 10
)

// form makes a job of the entries that follow. If there is none yet, wait is how long
// those that have begun wait for more; 0: for entries alone.
func (d *Destination) form(at time.Time) (j *job, wait time.Duration) {
	for {
		e, ok := d.take()
		if !ok {
			return d.ready(at)
		}
		if f := d.add(e, at); f != nil {
			return d.formed(f, Filled), 0
		}
	}
}

// add adds an entry to the job of its kind, and returns a job that is complete.
func (d *Destination) add(e journal.Entry, at time.Time) (complete *forming) {
	i := slices.IndexFunc(d.forming, func(f *forming) bool { return f.tag() == e.Tag })
	if i >= 0 && d.belongs(d.forming[i], e) {
		f := d.forming[i]
		f.job.entries = append(f.job.entries, e)
		f.items, f.size = f.items+int(e.Units), f.size+int(e.Length)
		if f.isWhole() {
			return f
		}
		return d.excess()
	}
	if i >= 0 {
		complete = d.forming[i]
	}
	d.forming = append(d.forming, d.begin(e, at))
	if complete == nil {
		complete = d.excess()
	}
	return complete
}

// excess returns a job that has to be sent since there are too many.
func (d *Destination) excess() *forming {
	entries := 0
	for _, f := range d.forming {
		entries += len(f.job.entries)
	}
	if len(d.forming) <= maxForming && entries <= maxFormingEntries {
		return nil
	}
	return d.oldest()
}

// oldest returns the job that was begun first, but for those that an earlier process had
// in flight, whose boundaries must not change.
func (d *Destination) oldest() *forming {
	return d.forming[max(0, slices.IndexFunc(d.forming, func(f *forming) bool { return f.last == 0 }))]
}

// ready returns a job that does not wait for more.
func (d *Destination) ready(at time.Time) (j *job, wait time.Duration) {
	m := &d.cfg.Merge
	waits := m.Wait > 0 && (m.MinItems > 0 || m.MinBytes > 0)
	d.mu.Lock()
	draining := d.draining
	d.mu.Unlock()
	for _, f := range d.forming {
		switch left := f.until.Sub(at); {
		case waits && f.last == 0 && f.items >= m.MinItems && f.size >= m.MinBytes:
			return d.formed(f, Filled), 0
		case waits && f.last == 0 && left <= 0:
			return d.formed(f, WaitEnded), 0
		case left <= 0 || f.isWhole() || draining:
			return d.formed(f, NothingWaits), 0
		case wait == 0 || left < wait:
			wait = left
		}
	}
	if len(d.forming) > 0 && d.cursor.IsBlocked() { // they keep the cursor from going on
		return d.formed(d.oldest(), Filled), 0
	}
	return nil, wait
}

// formed makes f a job.
func (d *Destination) formed(f *forming, why MergeTrigger) *job {
	d.forming = slices.DeleteFunc(d.forming, func(o *forming) bool { return o == f })
	f.job.trigger = why
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs[f.job] = true
	if f.last > 0 { // the job is in its place
		d.restored = slices.DeleteFunc(d.restored, func(s span) bool { return s.last == f.last && s.tag == f.tag() })
	}
	return f.job
}

// begin returns a job that begins with e.
func (d *Destination) begin(e journal.Entry, at time.Time) *forming {
	f := &forming{job: &job{entries: []journal.Entry{e}}, items: int(e.Units), size: int(e.Length), until: at}
	if s, is := d.wasInFlight(e); is {
		f.last, f.until = s.last, at.Add(restoreWait)
		f.job.whole = !s.divided
		if s.divided {
			f.job.parts = &s.parts
		}
	} else if d.cfg.Merge.MinItems > 0 || d.cfg.Merge.MinBytes > 0 {
		f.until = at.Add(d.cfg.Merge.Wait)
	}
	return f
}

// take returns the next entry, if there is one now.
func (d *Destination) take() (e journal.Entry, ok bool) {
	e, more, err := d.cursor.Poll(d.stopped)
	d.more = more
	switch {
	case err == nil:
		return e, more == nil
	case d.stopped.Err() != nil:
	case errors.Is(err, journal.ErrClosed):
		d.stop()
	default: // the file cannot be opened at present
		d.cfg.Logger.Error("reading the journal failed; it is tried again", slog.Any("error", err))
		sleep(d.stopped, d.cfg.InitialBackoff)
		d.more = now
	}
	return e, false
}

// now is closed.
var now = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, t time.Duration) {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// belongs reports whether e, which has the tag of f, may be sent with f.
func (d *Destination) belongs(f *forming, e journal.Entry) bool {
	if f.last > 0 {
		return e.Sequence <= f.last
	}
	if _, is := d.wasInFlight(e); is {
		return false
	}
	if !d.cfg.Merge.asked() && d.sentAlone(f.job.entries[0], e) {
		return false
	}
	maxBytes := d.cfg.Merge.MaxBytes
	d.mu.Lock()
	if d.sizeMax > 0 {
		maxBytes = min(maxBytes, d.sizeMax)
	}
	d.mu.Unlock()
	return f.items+int(e.Units) <= d.cfg.Merge.MaxItems && f.size+int(e.Length) <= maxBytes
}

// sentAlone reports whether two records are rather sent in two requests, where merging was
// not asked for: it would cost more.
func (d *Destination) sentAlone(a, b journal.Entry) bool {
	can, largest := d.cfg.Next.Capabilities(), max(a.Length, b.Length)
	switch codec := codecOf(a); {
	case largest >= sentAlone:
		return true
	case codec == codecOf(b) && can.CanUseJoined(codec):
		return false
	case can.Codecs.Has(codec), can.Codecs.Has(codecOf(b)):
		return largest >= compressedAlone
	}
	return false
}

// wasInFlight returns the request that an earlier process sent a record in.
func (d *Destination) wasInFlight(e journal.Entry) (s span, is bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.restored = slices.DeleteFunc(d.restored, func(s span) bool { // its records are lost
		return s.last < e.Sequence && !slices.ContainsFunc(d.forming, func(f *forming) bool { return f.last == s.last && f.tag() == s.tag })
	})
	i := slices.IndexFunc(d.restored, func(s span) bool { return s.tag == e.Tag && s.first <= e.Sequence && e.Sequence <= s.last })
	if i < 0 {
		return span{}, false
	}
	return d.restored[i], true
}

// run sends a job and does what the answer asks for.
func (d *Destination) run(j *job) {
	defer d.signal()
	d.plan(j)
	d.note(j)
	b, lost, err := d.load(j)
	d.remove(j, lost) // the cursor has counted them as damaged
	if len(j.entries) == 0 {
		d.end(j)
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, errUnequal), (errors.Is(err, errNotSent) || isTooLarge(err)) && len(j.entries) > 1:
		d.halve(j)
		return
	case errors.Is(err, errNotSent):
		d.bury(j, pipeline.Classify(err))
		return
	default:
		d.later(j, pipeline.Classify(err), false)
		return
	}
	defer b.Release()
	if j.begun.IsZero() {
		j.begun = time.Now()
		if j.parts == nil {
			d.merged(j.trigger, b.Items(), len(b.Bytes()))
		}
	}
	if j.parts != nil {
		d.sendParts(j, b)
		return
	}
	d.settle(j, b, d.send(j, b, 0))
}

// isTooLarge reports whether there is never as much memory.
func isTooLarge(err error) bool {
	var full *admission.Overload
	return errors.As(err, &full) && full.TooLarge
}

// remove takes records out of a job.
func (d *Destination) remove(j *job, lost []journal.Entry) {
	if len(lost) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range lost {
		j.entries = slices.DeleteFunc(j.entries, func(o journal.Entry) bool { return o.Sequence == e.Sequence })
	}
}

// send is one attempt to send a job, or the part of it that ends at end. A panic of the
// consumer is a failure that would repeat. The time that it may take is the consumer's.
func (d *Destination) send(j *job, b *pipeline.Batch, end int) error {
	ctx := d.ctx
	if d.cfg.RequestIDs {
		ctx = pipeline.WithRequestID(ctx, d.requestID(j, end))
	}
	return safely(ctx, d.cfg.Next, b)
}
