package decompress

import (
	"fmt"
	"io"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Reserver limits the memory of one request. *admission.Ticket implements it.
type Reserver interface {
	// Reserve reserves total bytes, including those reserved before. It may
	// wait. It is called before the memory is allocated. A total that is not
	// higher than before has no effect.
	Reserve(total int) error
}

// inflaterBytes is what a decoder of gzip or zlib holds: the tables of a block.
const inflaterBytes = 24 << 10

// minBuffer is the minimum capacity of an output buffer.
const minBuffer = 4 << 10

// decompression holds the memory of one body: the result as it grows, and the size
// of the other buffers in use. No other part of the package allocates buffers for a
// body, so the reserved memory is never less than the memory in use.
type decompression struct {
	memory     Reserver
	maxBytes   int
	otherBytes int     // capacity of the request's other buffers, in bytes
	dst        *[]byte // the result, owned; nil until the first use
	granted    int     // bytes that are reserved
	form       Form    // of the input, as far as it was read
	inCaller   bool    // the caller's code is running: its panics are not recovered
}

func (op *decompression) reserve(total int) error {
	if op.memory == nil || total <= op.granted {
		return nil
	}
	op.inCaller = true
	err := op.memory.Reserve(total)
	op.inCaller = false
	if err != nil {
		return fmt.Errorf("reserve memory for a body of at least %d bytes: %w", total, err)
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

// getBuffer allocates a buffer of at least n bytes while held bytes stay in
// use.
func (op *decompression) getBuffer(n, held int) (*[]byte, error) {
	class := bufpool.Class(n)
	if err := op.reserve(held + class); err != nil {
		return nil, err
	}
	p := bufpool.Get(n)
	if more := cap(*p); more > class { // the pool had a larger one
		if err := op.reserve(held + more); err != nil {
			bufpool.Put(p)
			return nil, err
		}
	}
	*p = (*p)[:0]
	return p, nil
}

// reset makes the result empty, with a capacity of at least n bytes.
func (op *decompression) reset(n int) (err error) {
	if op.dst != nil && cap(*op.dst) >= n {
		*op.dst = (*op.dst)[:0]
		return nil
	}
	op.drop()
	op.dst, err = op.getBuffer(n, op.otherBytes)
	return err
}

// enlarge doubles the result's capacity, at most to maxBytes, and keeps its
// contents.
func (op *decompression) enlarge() error {
	n := max(min(max(2*op.held(), minBuffer), op.maxBytes), len(*op.dst)+1)
	q, err := op.getBuffer(n, op.otherBytes+op.held())
	if err != nil {
		return err
	}
	*q = append(*q, *op.dst...)
	bufpool.Put(op.dst)
	op.dst = q
	return nil
}

// shrink copies a result that uses less than a quarter of its buffer to a
// smaller one, since it may be in use for long. It does nothing if the memory
// for both is not reserved.
func (op *decompression) shrink() {
	b := *op.dst
	n := len(b)
	class := bufpool.Class(n)
	if cap(b) < 4*class || op.memory != nil && op.otherBytes+cap(b)+class > op.granted {
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

// fill reads r to its end into the result.
func (op *decompression) fill(r io.Reader) error {
	if op.dst == nil {
		if err := op.reset(min(minBuffer, op.maxBytes)); err != nil {
			return err
		}
	}
	*op.dst = (*op.dst)[:0]
	var probe [1]byte
	for {
		b := *op.dst
		n := len(b)
		free := b[n:max(n, min(cap(b), op.maxBytes))]
		full := len(free) == 0
		if full { // this may be the end: enlarge the buffer only if there is another byte
			free = probe[:]
		}
		got, err := r.Read(free)
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
		case err != nil:
			return err
		}
	}
}
