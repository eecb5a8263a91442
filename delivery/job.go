package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// job is one or several records that are sent as one request.
type job struct {
	entries []journal.Entry
	begun   time.Time // of the first attempt; zero: there was none
	parts   *progress // nil: it is sent as a whole
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

// restoreWait is how long the rest of a job is waited for that an earlier process had in
// flight: the records are there, unless they are damaged.
const restoreWait = time.Second

// form makes a job of the entries that follow. If there is none yet, wait is how long
// one that has begun waits for more; 0: for entries alone.
func (d *Destination) form(at time.Time) (j *job, wait time.Duration) {
	f := d.forming
	if f == nil {
		e, ok := d.take()
		if !ok {
			return nil, 0
		}
		f = d.begin(e, at)
	}
	full := false
	for !full {
		e, ok := d.take()
		if !ok {
			break
		}
		if full = !d.belongs(f, e); full {
			d.peeked = &e
			break
		}
		f.job.entries = append(f.job.entries, e)
		f.items, f.size = f.items+int(e.Units), f.size+int(e.Length)
		full = e.Sequence == f.last
	}
	if wait = f.until.Sub(at); !full && wait > 0 && (f.last > f.job.last() || f.items < d.cfg.Merge.MinItems || f.size < d.cfg.Merge.MinBytes) {
		d.forming = f
		return nil, wait
	}
	d.forming = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	d.jobs[f.job] = true
	return f.job, 0
}

// begin returns a job that begins with e.
func (d *Destination) begin(e journal.Entry, at time.Time) *forming {
	f := &forming{job: &job{entries: []journal.Entry{e}}, items: int(e.Units), size: int(e.Length), until: at}
	if s, is := d.wasInFlight(e.Sequence); is {
		f.last, f.until = s.last, at.Add(restoreWait)
	} else if d.cfg.Merge.MinItems > 0 || d.cfg.Merge.MinBytes > 0 {
		f.until = at.Add(d.cfg.Merge.Wait)
	}
	return f
}

// take returns the next entry, if there is one now.
func (d *Destination) take() (e journal.Entry, ok bool) {
	if d.peeked != nil {
		e, d.peeked = *d.peeked, nil
		return e, true
	}
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

// belongs reports whether e may be sent with f.
func (d *Destination) belongs(f *forming, e journal.Entry) bool {
	if f.last > 0 {
		return e.Sequence <= f.last
	}
	if _, is := d.wasInFlight(e.Sequence); is {
		return false
	}
	maxBytes := d.cfg.Merge.MaxBytes
	d.mu.Lock()
	if d.sizeMax > 0 {
		maxBytes = min(maxBytes, d.sizeMax)
	}
	d.mu.Unlock()
	return e.Tag == f.job.entries[0].Tag && f.items+int(e.Units) <= d.cfg.Merge.MaxItems && f.size+int(e.Length) <= maxBytes
}

// wasInFlight returns the request that an earlier process sent a record in.
func (d *Destination) wasInFlight(sequence uint64) (s span, is bool) {
	for len(d.restored) > 0 && d.restored[0].last < sequence {
		d.restored = d.restored[1:]
	}
	if len(d.restored) == 0 || d.restored[0].first > sequence {
		return span{}, false
	}
	return d.restored[0], true
}

// run sends a job and does what the answer asks for.
func (d *Destination) run(j *job) {
	defer d.signal()
	d.note(j)
	d.plan(j)
	b, lost, err := d.load(j)
	for _, e := range lost { // the cursor has counted them as damaged
		j.entries = slices.DeleteFunc(j.entries, func(o journal.Entry) bool { return o.Sequence == e.Sequence })
	}
	if len(j.entries) == 0 {
		d.end(j)
		return
	}
	switch {
	case err == nil:
	case errors.Is(err, errUnequal), errors.Is(err, errNotSent) && len(j.entries) > 1:
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
	}
	if j.parts != nil {
		d.sendParts(j, b)
		return
	}
	d.settle(j, b, d.send(b))
}

// send is one attempt. A panic of the consumer is a failure that would repeat. The time
// that it may take is the consumer's.
func (d *Destination) send(b *pipeline.Batch) error { return safely(d.ctx, d.cfg.Next, b) }

// Errors of load.
var (
	// errUnequal says that records cannot be one request.
	errUnequal = errors.New("the records have different metadata")
	// errNotSent says that a record is not one that this version can send.
	errNotSent = errors.New("the record cannot be sent")
)

// load reads the records of a job and makes them one batch. lost are those that are
// damaged or dropped.
func (d *Destination) load(j *job) (b *pipeline.Batch, lost []journal.Entry, err error) {
	total, largest := 0, 0
	for _, e := range j.entries {
		total, largest = total+int(e.Length), max(largest, int(e.Length))
	}
	room := d.partsRoom(j, total)
	need := bufpool.Class(total) + max(bufpool.Class(largest), room)
	if d.rewrites(j) {
		need += mergeFactor * total
	}
	ticket, err := d.cfg.Memory.Acquire(d.ctx, d.cfg.Name, need)
	if err != nil {
		return nil, nil, fmt.Errorf("read requests of %d bytes from the journal: %w", total, err)
	}
	release := true
	defer func() {
		if release && ticket != nil {
			ticket.Release()
		}
	}()
	body := pipeline.NewBuffer(total)
	defer body.Release()
	m := merger{body: body, apart: d.rewrites(j)}
	if lost, err = m.read(d, j, largest); err != nil || m.records == 0 {
		return nil, lost, err
	}
	if err := m.join(d.ctx, d.cfg.Signal, ticket); err != nil {
		return nil, lost, err
	}
	b = pipeline.NewUncheckedPooledBatch(d.cfg.Signal, body, m.items, m.client)
	b.MarkShared() // it may be sent again
	if ticket != nil {
		ticket.Shrink(cap(b.Bytes()) + room)
		b.Hold(ticket)
	}
	release = false
	return b, lost, nil
}

// mergeFactor is how many times their size requests take that cannot be concatenated,
// beside what otlp.Merge needs.
const mergeFactor = 2

// rewrites reports whether the records of a job have to be rewritten to be one request.
func (d *Destination) rewrites(j *job) bool {
	return len(j.entries) > 1 && !d.cfg.Signal.Spec().Concatenable
}

// merger joins the bodies of records.
type merger struct {
	body    *pipeline.Buffer
	apart   bool     // body cannot be what they are concatenated to
	bodies  [][]byte // if apart
	items   int
	records int
	client  *pipeline.Client
}

func (m *merger) read(d *Destination, j *job, largest int) (lost []journal.Entry, err error) {
	scratch := bufpool.Get(largest)
	defer bufpool.Put(scratch)
	for _, e := range j.entries {
		buf := (*scratch)[:e.Length]
		err := d.cursor.Read(d.ctx, e, buf)
		if isLost(err) {
			lost = append(lost, e)
			continue
		}
		if err != nil {
			return lost, err
		}
		r, err := record.Decode(buf)
		if err == nil && (r.Signal != d.cfg.Signal || r.Codec != record.None) {
			err = fmt.Errorf("found a record of %s (%s), expected %s", r.Signal, r.Codec, d.cfg.Signal)
		}
		if err != nil {
			return lost, fmt.Errorf("read record %d of %s: %w: %w", e.Sequence, d.cfg.Name, errNotSent, err)
		}
		if !m.add(&r) {
			return lost, errUnequal
		}
	}
	return lost, nil
}

// add reports whether r could be added.
func (m *merger) add(r *record.Record) bool {
	switch {
	case m.records == 0:
		m.client = r.Client
	case !sameMetadata(m.client, r.Client):
		return false
	case !sameOrigin(m.client, r.Client):
		m.client = m.client.WithoutOrigin()
	}
	if m.apart {
		m.bodies = append(m.bodies, slices.Clone(r.Body))
	} else {
		m.body.Bytes = append(m.body.Bytes, r.Body...)
	}
	m.items += r.Items
	m.records++
	return true
}

// join makes the bodies one.
func (m *merger) join(ctx context.Context, s otlp.Signal, ticket *admission.Ticket) (err error) {
	if !m.apart {
		return nil
	}
	if need := otlp.MergeBytes(s, m.bodies...); ticket != nil {
		if err := ticket.Add(ctx, need); err != nil {
			return fmt.Errorf("merge %d requests: %w", len(m.bodies), err)
		}
		defer ticket.Sub(need)
	}
	m.body.Bytes, err = otlp.Merge(s, m.body.Bytes, m.bodies...)
	if errors.Is(err, otlp.ErrNotMerged) {
		return errUnequal
	}
	return err
}

// sameMetadata compares what something downstream may use.
func sameMetadata(a, b *pipeline.Client) bool {
	if a == nil || b == nil {
		a, b = orEmpty(a), orEmpty(b)
	}
	return maps.EqualFunc(a.Metadata, b.Metadata, slices.Equal) && sameIdentity(a.Identity, b.Identity)
}

func orEmpty(c *pipeline.Client) *pipeline.Client {
	if c == nil {
		return &pipeline.Client{}
	}
	return c
}

func sameIdentity(a, b *pipeline.Identity) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Subject == b.Subject && maps.Equal(a.Attributes, b.Attributes)
}

func sameOrigin(a, b *pipeline.Client) bool {
	a, b = orEmpty(a), orEmpty(b)
	return a.Addr == b.Addr && a.Transport == b.Transport && a.Format == b.Format
}
