package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

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
	if b := d.whole(j); b != nil {
		return b, nil, nil
	}
	if len(j.entries) == 1 && codecOf(j.entries[0]) != pipeline.CodecNone {
		return d.loadCompressed(j)
	}
	size := sizesOf(j)
	room := d.partsRoom(j, size.requests)
	scratch := size.scratch()
	need := bufpool.Class(size.requests) + max(scratch, room)
	m := merger{apart: d.rewrites(j), joined: d.joinedCodec(j)}
	if m.apart {
		need += mergeFactor * size.requests
	}
	if m.joined == pipeline.CodecNone {
		size.compressed = 0
	}
	need += bufpool.Class(size.compressed)
	memory, err := d.acquire(need, scratch)
	if err != nil {
		return nil, nil, err
	}
	defer memory.release()
	m.memory, m.body, m.encoded = memory, pipeline.NewBuffer(size.requests), pipeline.NewBuffer(size.compressed)
	defer m.body.Release()
	defer m.encoded.Release()
	if lost, err = m.read(d, j, size); err != nil || m.records == 0 {
		return nil, lost, err
	}
	if err := m.join(d.ctx, d.cfg.Signal, memory.ticket); err != nil {
		return nil, lost, err
	}
	b = pipeline.NewUncheckedPooledBatch(d.cfg.Signal, m.body, m.items, m.client)
	if m.joined != pipeline.CodecNone {
		b.AttachEncoded(m.encoded, m.joined, m.records == 1 && m.single)
	}
	memory.holds(b, room)
	return b, lost, nil
}

// loadCompressed is load for a job of one record that is compressed and not in memory. The
// request is decompressed where it stays.
func (d *Destination) loadCompressed(j *job) (b *pipeline.Batch, lost []journal.Entry, err error) {
	e := j.entries[0]
	size := sizesOf(j)
	room := d.partsRoom(j, size.requests)
	memory, err := d.acquire(size.scratch()+room, size.scratch())
	if err != nil {
		return nil, nil, err
	}
	defer memory.release()
	stored := pipeline.BufferOf(bufpool.Get(size.read))
	defer stored.Release()
	r, err := d.read(e, stored.Bytes[:size.read])
	if err == nil {
		var request *[]byte
		if request, err = d.decompress(e, &r, bufpool.Get(r.Plain), memory); err == nil {
			body := pipeline.BufferOf(request)
			b = pipeline.NewUncheckedPooledBatch(d.cfg.Signal, body, r.Items, r.Client)
			body.Release()
		}
	}
	switch {
	case isLost(err):
		return nil, slices.Clone(j.entries), nil
	case err != nil:
		return nil, nil, err
	}
	encoded := pipeline.Encoded{Codec: r.Codec, Single: r.Single}
	if j.parts == nil && d.cfg.Next.Capabilities().CanUse(encoded) {
		stored.Bytes = append(stored.Bytes[:0], r.Body...) // r.Body is its end
		b.AttachEncoded(stored, r.Codec, r.Single)
	}
	memory.holds(b, room)
	return b, nil, nil
}

// codecOf returns in which codec an entry is compressed.
func codecOf(e journal.Entry) pipeline.Codec { return pipeline.Codec(e.OwnerCodec()) }

// joinedCodec returns the codec of a job whose records can be sent in the compressed bytes
// that they came in, end to end; CodecNone if they cannot.
func (d *Destination) joinedCodec(j *job) pipeline.Codec {
	codec := codecOf(j.entries[0])
	other := func(e journal.Entry) bool { return codecOf(e) != codec }
	if j.parts != nil || d.rewrites(j) || !d.cfg.Next.Capabilities().CanUseJoined(codec) || slices.ContainsFunc(j.entries, other) {
		return pipeline.CodecNone
	}
	return codec
}

// sizes are those of a job's records.
type sizes struct {
	requests     int // of all, each with its header
	read         int // the largest record as it is stored
	compressed   int // of all that are compressed, as they are stored; 0: not kept
	decompressed int // the largest one of these, as it is sent
}

func sizesOf(j *job) (s sizes) {
	for _, e := range j.entries {
		s.requests += int(e.Length)
		s.read = max(s.read, int(e.PayloadBytes()))
		if codecOf(e) != pipeline.CodecNone {
			s.compressed += int(e.PayloadBytes())
			s.decompressed = max(s.decompressed, int(e.Length))
		}
	}
	return s
}

// decoderRoom is what decompressing takes beside the bytes before and after it, as a rule.
const decoderRoom = 64 << 10

// scratch is what reading one record takes at most.
func (s *sizes) scratch() int {
	n := bufpool.Class(s.read)
	if s.compressed > 0 {
		n += bufpool.Class(s.decompressed) + decoderRoom
	}
	return n
}

// loading is the memory of a job that is read from the journal.
type loading struct {
	ticket *admission.Ticket // nil: there is no bound, or a batch has it
	others int               // bytes that are not for decompressing
}

// acquire returns memory for need bytes, of which scratch are for reading one record.
func (d *Destination) acquire(need, scratch int) (*loading, error) {
	ticket, err := d.cfg.Memory.Acquire(d.ctx, d.cfg.Name, need)
	if err != nil {
		return nil, fmt.Errorf("read requests of %d bytes from the journal: %w", need, err)
	}
	return &loading{ticket, need - scratch}, nil
}

// Reserve implements record.Reserver.
func (l *loading) Reserve(total int) error { return l.ticket.Reserve(l.others + total) }

// holds makes the ticket that of a batch, which may be sent again, with room for its parts.
func (l *loading) holds(b *pipeline.Batch, room int) {
	b.MarkShared()
	if l.ticket != nil {
		l.ticket.Shrink(cap(b.Bytes()) + cap(b.Encoded().Bytes) + room)
		b.Hold(l.ticket)
		l.ticket = nil
	}
}

// release gives back what no batch holds.
func (l *loading) release() { l.ticket.Release() }

// mergeFactor is how many times their size requests take that cannot be concatenated,
// beside what otlp.Merge needs.
const mergeFactor = 2

// rewrites reports whether the records of a job have to be rewritten to be one request.
func (d *Destination) rewrites(j *job) bool {
	return len(j.entries) > 1 && !d.cfg.Signal.Spec().Concatenable
}

// merger joins the bodies of records.
type merger struct {
	memory  *loading
	body    *pipeline.Buffer
	apart   bool             // body cannot be what they are concatenated to
	bodies  [][]byte         // if apart
	joined  pipeline.Codec   // CodecNone: what follows is not used
	encoded *pipeline.Buffer // the compressed bodies
	single  bool             // of the last record
	items   int
	records int
	client  *pipeline.Client
}

func (m *merger) read(d *Destination, j *job, size sizes) (lost []journal.Entry, err error) {
	stored := bufpool.Get(size.read)
	defer bufpool.Put(stored)
	for _, e := range j.entries {
		err := m.readOne(d, e, (*stored)[:e.PayloadBytes()])
		if isLost(err) {
			lost = append(lost, e)
			continue
		}
		if err != nil {
			return lost, err
		}
	}
	return lost, nil
}

// readOne reads a record, into buf if it is not in memory, and adds it.
func (m *merger) readOne(d *Destination, e journal.Entry, buf []byte) error {
	if k, ok := d.inMemory(e); ok {
		defer k.Release()
		r, err := k.record()
		if err = d.usable(e, &r, err); err != nil {
			return err
		}
		return m.add(&r, k.batch.Bytes())
	}
	r, err := d.read(e, buf)
	if err != nil {
		return err
	}
	request := r.Body
	if r.Codec != pipeline.CodecNone {
		p, err := d.decompress(e, &r, bufpool.Get(r.Plain), m.memory)
		if err != nil {
			return err
		}
		defer bufpool.Put(p)
		request = *p
	}
	return m.add(&r, request)
}

// read reads a record into buf.
func (d *Destination) read(e journal.Entry, buf []byte) (record.Record, error) {
	if err := d.cursor.Read(d.ctx, e, buf); err != nil {
		return record.Record{}, err
	}
	r, err := record.Decode(buf)
	return r, d.usable(e, &r, err)
}

// usable returns an error for a record, which was read with err, that is not sent.
func (d *Destination) usable(e journal.Entry, r *record.Record, err error) error {
	if err == nil && (r.Signal != d.cfg.Signal || r.Codec != codecOf(e) || r.Plain > int(e.Length)) {
		err = fmt.Errorf("found a record of %s (%s, %d bytes), expected %s (%s, at most %d bytes)", r.Signal, r.Codec, r.Plain, d.cfg.Signal, codecOf(e), e.Length)
	}
	if err != nil {
		return fmt.Errorf("read record %d of %s: %w: %w", e.Sequence, d.cfg.Name, errNotSent, err)
	}
	return nil
}

// decompress returns the request of a record that was read, in dst or in other memory of
// the pool. What is not what the record says is damaged.
func (d *Destination) decompress(e journal.Entry, r *record.Record, dst *[]byte, memory *loading) (*[]byte, error) {
	request, err := r.Decompress(dst, memory)
	switch {
	case err == nil:
		return request, nil
	case errors.Is(err, record.ErrCorrupt):
		return nil, d.cursor.Damaged(e, err)
	case errors.Is(err, record.ErrUnknownCodec):
		return nil, fmt.Errorf("read record %d of %s: %w: %w", e.Sequence, d.cfg.Name, errNotSent, err)
	}
	return nil, fmt.Errorf("read record %d of %s: %w", e.Sequence, d.cfg.Name, err)
}

// add adds a record and its request.
func (m *merger) add(r *record.Record, request []byte) error {
	switch {
	case m.records == 0:
		m.client = r.Client
	case !sameMetadata(m.client, r.Client):
		return errUnequal
	case !sameOrigin(m.client, r.Client):
		m.client = m.client.WithoutOrigin()
	}
	if m.apart {
		m.bodies = append(m.bodies, slices.Clone(request))
	} else {
		m.body.Bytes = append(m.body.Bytes, request...)
	}
	if m.joined != pipeline.CodecNone {
		m.encoded.Bytes, m.single = append(m.encoded.Bytes, r.Body...), r.Single
	}
	m.items += r.Items
	m.records++
	return nil
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
