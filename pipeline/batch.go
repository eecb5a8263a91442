package pipeline

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Client tells where a request came from.
type Client struct {
	// Addr is the peer's address as the transport prints it.
	Addr string
	// Transport is "grpc" or "http"; Format is "protobuf" or "json".
	Transport, Format string
	// Metadata holds request headers, keys in lower case, where the receiver
	// was asked to keep them; else nil.
	Metadata map[string][]string
	// Identity is the sender, where the receiver authenticates; else nil.
	Identity *Identity
	// Received is when the whole request was read.
	Received time.Time
}

// WithoutOrigin returns what requests of several clients with the same metadata and
// identity have in common: nil for nil.
func (c *Client) WithoutOrigin() *Client {
	if c == nil {
		return nil
	}
	return &Client{Metadata: c.Metadata, Identity: c.Identity, Received: c.Received}
}

// Batch is one OTLP export request as checked wire bytes: they passed otlp.Check
// when the batch was made, or their writer vouches for them (Derive,
// NewUncheckedBatch).
type Batch struct {
	signal otlp.Signal
	shared atomic.Bool
	refs   atomic.Int32
	items  int
	split  int // otlp.Facts.SplitBytes
	data   []byte
	mem    *[]byte // the pooled memory behind data, nil if the collector frees it
	client *Client
	of     *Batch // whose memory data is, retained; nil: it is the batch's own
	forms  forms
	account
	trace liveTrace
}

// ErrShared is the error of Edit: others may be reading the same bytes.
var ErrShared = errors.New("pipeline: the batch is shared, its bytes must not be written in place")

// NewBatch checks data as an export request of signal s and wraps it. data
// belongs to the batch from then on. The caller holds the one reference.
func NewBatch(s otlp.Signal, data []byte, client *Client) (*Batch, error) {
	return NewBatchWithin(otlp.Limits{}, s, data, client)
}

// NewBatchWithin is NewBatch with other limits than the defaults.
func NewBatchWithin(l otlp.Limits, s otlp.Signal, data []byte, client *Client) (*Batch, error) {
	f, err := l.Inspect(s, data)
	if err != nil {
		return nil, err
	}
	b := newBatch(s, data, nil, f.Items, client)
	b.split = f.SplitBytes
	return b, nil
}

// NewUncheckedBatch is NewBatch for a request that the caller has written itself. The
// caller vouches for the bytes and the number of items; builds with the tag "poison"
// check both.
func NewUncheckedBatch(s otlp.Signal, data []byte, items int, client *Client) *Batch {
	verifyDerived(s, data, items)
	return newBatch(s, data, nil, items, client)
}

// NewPooledBatch is NewBatch over the bytes of a buffer, whose memory it takes
// over: it goes back to the pool with the last Release of the batch. The buffer
// is the caller's to release all the same; if the check fails it still has the
// memory.
func NewPooledBatch(s otlp.Signal, buf *Buffer, client *Client) (*Batch, error) {
	return NewPooledBatchWithin(otlp.Limits{}, s, buf, client)
}

// NewPooledBatchWithin is NewPooledBatch with other limits than the defaults.
func NewPooledBatchWithin(l otlp.Limits, s otlp.Signal, buf *Buffer, client *Client) (*Batch, error) {
	f, err := l.Inspect(s, buf.Bytes)
	if err != nil {
		return nil, err
	}
	data, mem, charged := buf.takeOver()
	b := newBatch(s, data, mem, f.Items, client)
	b.split = f.SplitBytes
	if buf.batch != nil {
		b.join(buf.batch, charged)
	}
	return b, nil
}

func newBatch(s otlp.Signal, data []byte, mem *[]byte, items int, client *Client) *Batch {
	b := &Batch{signal: s, data: data, mem: mem, items: items, client: client}
	b.refs.Store(1)
	b.trace.born(b)
	live.Add(1)
	return b
}

// Derive returns a new batch of the same signal and client over the bytes of a
// buffer, which now holds a rewritten request. The batch takes the memory over,
// with its charge; the buffer is the caller's to release all the same. The writer
// vouches for the bytes and the count; builds with the tag "poison" check both.
// The caller holds the one reference to the new batch, and still its own to the
// old, whose compressed forms are not those of the new one.
func (b *Batch) Derive(buf *Buffer, items int) *Batch {
	verifyDerived(b.signal, buf.Bytes, items)
	from := b
	if buf.batch != nil {
		from = buf.batch
	}
	data, mem, charged := buf.takeOver()
	d := newBatch(b.signal, data, mem, items, b.client)
	d.split = b.split
	d.join(from, charged)
	return d
}

// WithClient returns a new batch of the same bytes, and compressed ones, with another client.
// It keeps b until it is released. Both are shared from then on.
func (b *Batch) WithClient(c *Client) *Batch {
	b.MarkShared()
	d := newBatch(b.signal, b.data, nil, b.items, c)
	d.of, d.split = b.Retain(), b.split
	d.join(b, 0)
	d.MarkShared()
	return d
}

// Signal returns which of the four signals the batch carries.
func (b *Batch) Signal() otlp.Signal { return b.signal }

// Bytes returns the request's wire bytes: read only, valid until the batch is
// released.
func (b *Batch) Bytes() []byte { return b.data }

// Items returns the number of spans, data points, log records or samples.
func (b *Batch) Items() int { return b.items }

// MergeBytes returns how many bytes at most are allocated to merge the messages of
// the request that are split into parts, each time that it is read with the views of
// otlp or becomes JSON. It is 0 for what nearly all senders send. A receiver puts it
// on the ticket of the batch (Hold), so that consumers need not.
func (b *Batch) MergeBytes() int { return otlp.MergeFactor * b.split }

// Client returns where the batch came from; nil if it was made in this process.
func (b *Batch) Client() *Client { return b.client }

// Retain keeps the batch alive beyond the Consume call that it was passed to,
// and returns it. Pair it with one Release.
func (b *Batch) Retain() *Batch {
	if b.refs.Add(1) <= 1 {
		panic("pipeline: Retain of a released batch")
	}
	return b
}

// Release gives one reference back. The last one gives the memory back, to the
// pool and to the admission ticket.
func (b *Batch) Release() {
	switch n := b.refs.Add(-1); {
	case n > 0:
	case n < 0:
		panic("pipeline: Release of a released batch")
	default:
		live.Add(-1)
		b.trace.died(b)
		mem := b.mem
		b.data, b.mem = nil, nil
		bufpool.Put(mem)
		b.forms.drop()
		b.leave()
		if of := b.of; of != nil {
			b.of = nil
			of.Release()
		}
	}
}

// MarkShared makes Edit fail from now on. Call it before a batch is passed to more
// than one consumer, or if it may be sent again.
func (b *Batch) MarkShared() { b.shared.Store(true) }

// Shared reports whether the batch was marked shared.
func (b *Batch) Shared() bool { return b.shared.Load() }

// Edit returns the bytes for writing in place, or ErrShared if the batch is
// marked shared or retained by others. The edited bytes must stay a valid
// request with the same number of items. Compressed forms of the batch are dropped.
func (b *Batch) Edit() ([]byte, error) {
	if b.shared.Load() || b.refs.Load() != 1 {
		return nil, ErrShared
	}
	b.dropForms()
	return b.data, nil
}

// live counts batches that were made and not yet released.
var live atomic.Int64

// Live returns how many batches have not been released: zero when nothing is in
// flight. Tests check it at their end.
func Live() int64 { return live.Load() }

// NewUncheckedPooledBatch is NewUncheckedBatch over the bytes of a buffer, whose memory
// it takes over as NewPooledBatch does: for a request that was checked before it was
// stored, and that a checksum protects.
func NewUncheckedPooledBatch(s otlp.Signal, buf *Buffer, items int, client *Client) *Batch {
	verifyDerived(s, buf.Bytes, items)
	data, mem, charged := buf.takeOver()
	b := newBatch(s, data, mem, items, client)
	if buf.batch != nil {
		b.join(buf.batch, charged)
	}
	return b
}
