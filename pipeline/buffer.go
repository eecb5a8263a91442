package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Buffer is memory for bytes that are made of a batch, such as a rewritten
// request. The memory comes from a pool of the process. It is charged to the
// admission ticket of the batch before it is taken, and given back to both by
// Release:
//
//	buf, err := b.NewBuffer(ctx, len(b.Bytes()))
//	if err != nil {
//		return nil, err // no room
//	}
//	defer buf.Release()
//	… append to buf.Bytes, with Grow ahead where it may not suffice …
//	return b.Derive(buf, items), nil
//
// A Buffer has one owner. Release it exactly once, after Derive too, which has
// taken its memory over: a deferred Release is right in every case, also in a panic. It
// must be released before the batch that it was made for is.
type Buffer struct {
	// Bytes is what was written. It is empty at first.
	Bytes []byte

	mem     *[]byte // of the pool, where Bytes begins; nil once it was taken over
	batch   *Batch  // whose ticket is charged; nil: none
	charged int     // bytes on that ticket
	trace   liveBytes
	idle    bool // released
}

// buffers keeps the structs for reuse, no more.
var buffers = sync.Pool{New: func() any { return new(Buffer) }}

// NewBuffer returns an empty buffer with room for n bytes. The error is an
// *Error: there is no room in the memory budget, or ctx ended while it waited.
func (b *Batch) NewBuffer(ctx context.Context, n int) (*Buffer, error) {
	buf := newBuffer(b)
	if err := buf.replace(ctx, n); err != nil {
		buf.Release()
		return nil, err
	}
	return buf, nil
}

// NewBuffer returns an empty buffer with room for n bytes that is charged to no
// ticket: for a receiver, which reserves the memory itself before there is a
// batch.
func NewBuffer(n int) *Buffer {
	buf := BufferOf(bufpool.Get(n))
	buf.Bytes = buf.Bytes[:0]
	return buf
}

// BufferOf returns a buffer that holds *mem, charged to no ticket. The memory
// belongs to the buffer from then on, and goes to the pool in the end.
func BufferOf(mem *[]byte) *Buffer {
	buf := newBuffer(nil)
	buf.Bytes, buf.mem = *mem, mem
	return buf
}

func newBuffer(of *Batch) *Buffer {
	buf := buffers.Get().(*Buffer)
	*buf = Buffer{batch: of}
	return buf
}

// Grow makes room for n more bytes behind Bytes, which may move. The error is as
// that of NewBuffer; Bytes are then as they were. While they are moved, both
// pieces of memory are charged.
func (buf *Buffer) Grow(ctx context.Context, n int) error {
	used := len(buf.Bytes)
	if cap(buf.Bytes)-used >= n {
		return nil
	}
	return buf.replace(ctx, max(used+n, 2*cap(buf.Bytes)))
}

// replace takes memory for n bytes and moves Bytes there.
func (buf *Buffer) replace(ctx context.Context, n int) error {
	paid := buf.charged
	class := bufpool.Class(n)
	if err := buf.charge(ctx, class); err != nil {
		return err
	}
	mem := bufpool.Get(n)
	if more := cap(*mem) - class; more > 0 { // the pool had one of an odd size
		if err := buf.charge(ctx, more); err != nil {
			bufpool.Put(mem)
			buf.discharge(buf.charged - paid)
			return err
		}
	}
	buf.move(mem)
	buf.discharge(paid)
	return nil
}

// move moves Bytes to other memory of the pool. That of before goes back to it.
func (buf *Buffer) move(mem *[]byte) {
	old := buf.mem
	buf.trace.holdsOf(buf, old, mem)
	*mem = append((*mem)[:0], buf.Bytes...)
	buf.mem, buf.Bytes = mem, *mem
	bufpool.Put(old)
	buf.trace.holdsOf(buf, mem)
}

// Release gives the memory back, unless it was taken over.
func (buf *Buffer) Release() {
	if buf.idle {
		panic("pipeline: Release of a released buffer")
	}
	bufpool.Put(buf.mem)
	buf.trace.holds(0)
	buf.discharge(buf.charged)
	*buf = Buffer{idle: true}
	buffers.Put(buf)
}

// discard is Release for a buffer of a batch that is being released, which gives the charge
// back.
func (buf *Buffer) discard() {
	bufpool.Put(buf.mem)
	buf.trace.holds(0)
	*buf = Buffer{idle: true}
	buffers.Put(buf)
}

// takeOver returns the bytes, the memory to be given back to the pool later (nil
// if the collector frees it), and how much of it is on a ticket.
func (buf *Buffer) takeOver() (data []byte, mem *[]byte, charged int) {
	data, mem, charged = buf.Bytes, buf.mem, buf.charged
	if buf.batch != nil {
		buf.batch.loose.Add(-int64(charged))
	}
	buf.Bytes, buf.mem, buf.charged = nil, nil, 0
	buf.trace.holds(0)
	if mem == nil || !sameMemory(data, *mem) {
		return data, nil, charged // it was appended to beyond what Grow promised
	}
	*mem = data
	return data, mem, charged
}

func sameMemory(a, b []byte) bool {
	return cap(a) == cap(b) && (cap(a) == 0 || &a[:1][0] == &b[:1][0])
}

// charge puts n more bytes on the ticket, if there is one.
func (buf *Buffer) charge(ctx context.Context, n int) error {
	if buf.batch == nil || buf.batch.payer().ticket == nil {
		return nil
	}
	if err := buf.batch.charge(ctx, n); err != nil {
		return err
	}
	buf.charged += n
	buf.batch.loose.Add(int64(n))
	return nil
}

// tryCharge is charge if there is room now. It reports whether there was.
func (buf *Buffer) tryCharge(n int) bool {
	if buf.batch == nil || buf.batch.payer().ticket == nil {
		return true
	}
	if !buf.batch.payer().ticket.TryAdd(n) {
		return false
	}
	buf.charged += n
	buf.batch.loose.Add(int64(n))
	return true
}

// discharge takes n of the charged bytes off the ticket.
func (buf *Buffer) discharge(n int) {
	if n == 0 {
		return
	}
	if buf.batch.refs.Load() <= 0 {
		panic("pipeline: a buffer is in use after the batch that it was made for was released")
	}
	buf.charged -= n
	buf.batch.loose.Add(-int64(n))
	buf.batch.discharge(n)
}

// resourceExhausted is the gRPC code of a request that is too large for the receiver.
const resourceExhausted = 8

// noRoom translates why a ticket could not grow by n bytes.
func noRoom(n int, err error) error {
	e := &Error{Kind: Retryable, Err: fmt.Errorf("reserve %d bytes: %w", n, err)}
	var o *admission.Overload
	switch {
	case !errors.As(err, &o): // the context ended
	case o.TooLarge:
		e.Kind, e.Code = Permanent, resourceExhausted
	default:
		e.Kind, e.RetryAfter = Overloaded, o.RetryAfter
	}
	return e
}
