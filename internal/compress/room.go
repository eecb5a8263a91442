package compress

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

// job is the memory of one body: its result as it grows, and what is alive
// beside it. No other part of the package takes a buffer for a body, so what
// Room has granted is never less than what is held.
type job struct {
	room     Room
	maxBytes int
	beside   int     // capacity of the request's other buffers, in bytes
	dst      *[]byte // the result, owned; nil until it is needed
	granted  int     // the most that room granted, in bytes
	foreign  bool    // code of the caller is running: a panic is its own
}

func (j *job) reserve(total int) error {
	if j.room == nil || total <= j.granted {
		return nil
	}
	j.foreign = true
	err := j.room.Reserve(total)
	j.foreign = false
	if err != nil {
		return fmt.Errorf("no room for a body of at least %d bytes: %w", total, err)
	}
	j.granted = total
	return nil
}

func (j *job) held() int {
	if j.dst == nil {
		return 0
	}
	return cap(*j.dst)
}

// lend takes a buffer of at least n bytes while held bytes stay alive.
func (j *job) lend(n, held int) (*[]byte, error) {
	class := bufpool.Class(n)
	if err := j.reserve(held + class); err != nil {
		return nil, err
	}
	p := bufpool.Get(n)
	if more := cap(*p); more > class { // an odd one of the pool
		if err := j.reserve(held + more); err != nil {
			bufpool.Put(p)
			return nil, err
		}
	}
	*p = (*p)[:0]
	return p, nil
}

// fresh makes the result empty, with room for n bytes.
func (j *job) fresh(n int) (err error) {
	if j.dst != nil && cap(*j.dst) >= n {
		*j.dst = (*j.dst)[:0]
		return nil
	}
	j.drop()
	j.dst, err = j.lend(n, j.beside)
	return err
}

// enlarge doubles the result's capacity, at most to maxBytes, and keeps its
// contents.
func (j *job) enlarge() error {
	n := max(min(max(2*j.held(), minBuffer), j.maxBytes), len(*j.dst)+1)
	q, err := j.lend(n, j.beside+j.held())
	if err != nil {
		return err
	}
	*q = append(*q, *j.dst...)
	bufpool.Put(j.dst)
	j.dst = q
	return nil
}

// shrink moves a result that fills less than a quarter of its buffer to one that
// fits, since it may be held for long. Where there is no room for both yet, it
// stays.
func (j *job) shrink() {
	b := *j.dst
	n := len(b)
	class := bufpool.Class(n)
	if cap(b) < 4*class || j.room != nil && j.beside+cap(b)+class > j.granted {
		return
	}
	q := bufpool.Get(n)
	copy(*q, b)
	j.drop()
	j.dst = q
}

func (j *job) drop() {
	bufpool.Put(j.dst)
	j.dst = nil
}

// fill reads r to its end into the result. A failure of r means that the body is
// no valid encoding; for the plain bytes, encoding is "".
func (j *job) fill(r io.Reader, encoding string) error {
	if j.dst == nil {
		if err := j.fresh(min(minBuffer, j.maxBytes)); err != nil {
			return err
		}
	}
	*j.dst = (*j.dst)[:0]
	var probe [1]byte
	for {
		b := *j.dst
		n := len(b)
		room := b[n:max(n, min(cap(b), j.maxBytes))]
		full := len(room) == 0
		if full { // the end may come now; only a byte more is worth a larger buffer
			room = probe[:]
		}
		got, err := r.Read(room)
		switch {
		case n+got > j.maxBytes:
			return tooLarge(j.maxBytes)
		case full && got > 0:
			if err := j.enlarge(); err != nil {
				return err
			}
			*j.dst = append(*j.dst, probe[0])
		default:
			*j.dst = b[:n+got]
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
