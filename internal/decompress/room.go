package decompress

import (
	"fmt"
	"io"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Room is the memory that one request may take. *admission.Ticket is one.
type Room interface {
	// Reserve makes room for total bytes in all, what was reserved before
	// included. It may wait. It is called before the memory is taken, and a
	// lower total than the last takes nothing.
	Reserve(total int) error
}

// minBuffer is the least capacity to decompress into.
const minBuffer = 4 << 10

// decompression is the memory of one body: its result as it grows, and what is alive
// beside it. No other part of the package takes a buffer for a body, so what
// Room has granted is never less than what is held.
type decompression struct {
	room     Room
	maxBytes int
	beside   int     // capacity of the request's other buffers, in bytes
	dst      *[]byte // the result, owned; nil until it is needed
	granted  int     // the most that room granted, in bytes
	inCaller bool    // the caller's own code is running; a panic is the caller's
}

func (op *decompression) reserve(total int) error {
	if op.room == nil || total <= op.granted {
		return nil
	}
	op.inCaller = true
	err := op.room.Reserve(total)
	op.inCaller = false
	if err != nil {
		return fmt.Errorf("no room for a body of at least %d bytes: %w", total, err)
	}
	op.granted = total
	return nil
}

func (op *decompression) held() int {
	if op.dst == nil {
		return 0
	}
	return cap(*op.dst)
}

// getBuffer takes a buffer of at least n bytes while held bytes stay alive.
func (op *decompression) getBuffer(n, held int) (*[]byte, error) {
	class := bufpool.Class(n)
	if err := op.reserve(held + class); err != nil {
		return nil, err
	}
	p := bufpool.Get(n)
	if more := cap(*p); more > class { // an odd one of the pool
		if err := op.reserve(held + more); err != nil {
			bufpool.Put(p)
			return nil, err
		}
	}
	*p = (*p)[:0]
	return p, nil
}

// fresh makes the result empty, with room for n bytes.
func (op *decompression) fresh(n int) (err error) {
	if op.dst != nil && cap(*op.dst) >= n {
		*op.dst = (*op.dst)[:0]
		return nil
	}
	op.drop()
	op.dst, err = op.getBuffer(n, op.beside)
	return err
}

// enlarge doubles the result's capacity, at most to maxBytes, and keeps its
// contents.
func (op *decompression) enlarge() error {
	n := max(min(max(2*op.held(), minBuffer), op.maxBytes), len(*op.dst)+1)
	q, err := op.getBuffer(n, op.beside+op.held())
	if err != nil {
		return err
	}
	*q = append(*q, *op.dst...)
	bufpool.Put(op.dst)
	op.dst = q
	return nil
}

// shrink moves a result that fills less than a quarter of its buffer to one that
// fits, since it may be held for long. Where there is no room for both yet, it
// stays.
func (op *decompression) shrink() {
	b := *op.dst
	n := len(b)
	class := bufpool.Class(n)
	if cap(b) < 4*class || op.room != nil && op.beside+cap(b)+class > op.granted {
		return
	}
	q := bufpool.Get(n)
	copy(*q, b)
	op.drop()
	op.dst = q
}

func (op *decompression) drop() {
	bufpool.Put(op.dst)
	op.dst = nil
}

// fill reads r to its end into the result. A failure of r means that the body is
// no valid encoding; for the plain bytes, encoding is "".
func (op *decompression) fill(r io.Reader, encoding string) error {
	if op.dst == nil {
		if err := op.fresh(min(minBuffer, op.maxBytes)); err != nil {
			return err
		}
	}
	*op.dst = (*op.dst)[:0]
	var probe [1]byte
	for {
		b := *op.dst
		n := len(b)
		room := b[n:max(n, min(cap(b), op.maxBytes))]
		full := len(room) == 0
		if full { // the end may come now; only a byte more is worth a larger buffer
			room = probe[:]
		}
		got, err := r.Read(room)
		switch {
		case n+got > op.maxBytes:
			return tooLarge(op.maxBytes)
		case full && got > 0:
			if err := op.enlarge(); err != nil {
				return err
			}
			*op.dst = append(*op.dst, probe[0])
		default:
			*op.dst = b[:n+got]
		}
		switch {
		case err == io.EOF:
			return nil
		case err != nil && encoding == "":
			return err
		case err != nil:
			return corrupt(encoding, err)
		}
	}
}
