package pipeline

import (
	"context"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Encoded is a compressed form of a batch's bytes.
type Encoded struct {
	// Codec is the format of Bytes; CodecNone means that there is no compressed form.
	Codec Codec
	// Bytes are read only, and valid until the batch is released.
	Bytes []byte
	// Single says that Bytes are one member or frame, and nothing else. Some destinations
	// read only the first of several.
	Single bool
}

// forms are the compressed forms of the bytes of a batch, whose memory is the batch's.
// Edit drops them.
type forms struct {
	encoded Encoded
	mem     *[]byte  // the pooled memory behind encoded, nil if the collector frees it
	charged int      // bytes of encoded on the ticket, which are among those of the batch
	sum     bytesSum // of the batch's bytes when encoded was attached

	mu   sync.Mutex
	made map[EncodeKey]*madeForm // nil: none
}

// AttachEncoded makes the batch carry the compressed bytes that its bytes were
// decompressed from: the contents of buf, whose memory the batch takes over with its
// charge. The caller vouches that decompressing them gives the batch's bytes. single is
// Encoded.Single. Call it before the batch is shown to another component, and before Hold,
// whose ticket then holds these bytes too, by the capacity of their memory. A buffer that
// is charged already must be charged to the ticket of the batch. buf is the caller's to
// release all the same.
func (b *Batch) AttachEncoded(buf *Buffer, codec Codec, single bool) {
	switch {
	case codec == CodecNone || codec >= numCodecs:
		panic("pipeline: AttachEncoded without a codec")
	case b.forms.encoded.Codec != CodecNone:
		panic("pipeline: AttachEncoded of a batch that has compressed bytes")
	case buf.charged > 0 && (buf.batch == nil || buf.batch.payer() != b.payer()):
		panic("pipeline: AttachEncoded of a buffer that is charged to another ticket")
	}
	data, mem, charged := buf.takeOver()
	f := &b.forms
	f.encoded, f.mem, f.charged = Encoded{Codec: codec, Bytes: data, Single: single}, mem, charged
	f.sum = sumOf(b.data)
	if charged > 0 {
		b.charged += charged
		b.trace.holds(cap(b.data) + cap(data))
	}
}

// Encoded returns the compressed bytes that the batch came in; the zero value if it did
// not come compressed, or if it was changed since. A batch that was derived has none.
func (b *Batch) Encoded() Encoded {
	for b.of != nil {
		b = b.of
	}
	b.forms.sum.verify(b.data)
	return b.forms.encoded
}

// EncodeKey identifies a compressed form that is made of a batch. What is made for equal
// keys is interchangeable.
type EncodeKey struct {
	Codec Codec
	// Level and WindowBytes are the settings of the encoder; 0 is its default.
	Level, WindowBytes int
}

// madeForm is a compressed form that is being made, or was.
type madeForm struct {
	done chan struct{} // closed when buf or failed is set
	buf  *Buffer
	sum  bytesSum // of the bytes that it was made of
	// failed: it could not be made, and is not in the map any more.
	failed bool
}

// EncodeOnce returns the batch's bytes in the compressed form of key, which encode writes
// to buf.Bytes. It is made once for each key, also for callers at the same time, which wait
// for it. The memory of buf is charged to the ticket of the batch, and released with the
// batch. The result is read only, and valid until then: a caller that uses it after it has
// returned from Consume retains the batch. An error is that of encode, or
// that of ctx while another caller encodes; it is not remembered, and the next caller tries
// again.
func (b *Batch) EncodeOnce(ctx context.Context, key EncodeKey, encode func(ctx context.Context, buf *Buffer) error) ([]byte, error) {
	for b.of != nil {
		b = b.of
	}
	for {
		m, mine := b.forms.enter(key)
		if mine {
			return b.make(ctx, key, m, encode)
		}
		select {
		case <-m.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if !m.failed {
			m.sum.verify(b.data)
			return m.buf.Bytes, nil
		}
	}
}

// enter returns the form of key, and whether the caller has to make it.
func (f *forms) enter(key EncodeKey) (m *madeForm, mine bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.made[key]; m != nil {
		return m, false
	}
	if f.made == nil {
		f.made = map[EncodeKey]*madeForm{}
	}
	m = &madeForm{done: make(chan struct{})}
	f.made[key] = m
	return m, true
}

// make makes the form of key.
func (b *Batch) make(ctx context.Context, key EncodeKey, m *madeForm, encode func(context.Context, *Buffer) error) ([]byte, error) {
	buf := newBuffer(b)
	m.failed = true
	defer func() { // also after a panic
		if m.failed {
			buf.Release()
			b.forms.mu.Lock()
			delete(b.forms.made, key)
			b.forms.mu.Unlock()
		}
		close(m.done)
	}()
	if err := encode(ctx, buf); err != nil {
		return nil, err
	}
	buf.trim()
	m.buf, m.sum, m.failed = buf, sumOf(b.data), false
	return buf.Bytes, nil
}

// trim moves the bytes to smaller memory if they use less than half of theirs and there is
// room for both: encoders are given the most that they may need.
func (buf *Buffer) trim() {
	n, paid := len(buf.Bytes), buf.charged
	class := bufpool.Class(n)
	if 2*class > cap(buf.Bytes) || !buf.tryCharge(class) {
		return
	}
	mem := bufpool.Get(n)
	if cap(*mem) > class { // the pool had one of an odd size
		bufpool.Put(mem)
		buf.discharge(class)
		return
	}
	buf.move(mem)
	buf.discharge(paid)
}

// drop gives the memory of all forms back to the pool when the batch is released. The
// charge goes back with that of the batch.
func (f *forms) drop() {
	if f.encoded.Codec != CodecNone {
		mem := f.mem
		f.encoded, f.mem = Encoded{}, nil
		bufpool.Put(mem)
	}
	for _, m := range f.made {
		m.buf.discard()
	}
	f.made = nil
}

// dropForms drops what is made of bytes that are about to be changed.
func (b *Batch) dropForms() {
	f := &b.forms
	if n := f.charged; n > 0 {
		b.charged -= n
		b.trace.holds(b.charged)
		defer b.discharge(n)
	}
	for _, m := range f.made {
		m.buf.Release()
	}
	f.made = nil
	f.drop()
	f.charged, f.sum = 0, bytesSum{}
}
