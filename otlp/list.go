package otlp

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Union is the value of a oneof.
type Union struct {
	// Num is the field number of the member that is set (package otlpfield), 0 if
	// none is.
	Num uint32
	// Scalar is the value of a number or bool as it is on the wire: the bits of a
	// double, an integer with its sign extended to 64 bits, 1 for true.
	Scalar uint64
	// Bytes is the value of a string, bytes or message.
	Bytes []byte
}

// add sets the member that c is at. The last member wins, but a message that
// follows itself is merged with it.
func (u *Union) add(c *wire.Cursor, isMessage bool) {
	if isMessage && u.Num == c.Num {
		u.Bytes = wire.Merge(u.Bytes, c.Bytes)
		return
	}
	*u = Union{Num: c.Num, Scalar: c.Scalar, Bytes: c.Bytes}
	if c.Type != wire.TypeBytes {
		u.Bytes = nil
	}
}

// List is a repeated field of messages, strings or bytes. Nothing is read until
// All or Len is called.
type List[T ~[]byte] struct{ region }

// All iterates over the elements, in order. They point into the request.
func (l List[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for c := (wire.Cursor{Buf: l.raw}); c.Next(); {
			if c.Num == l.num && c.Type == wire.TypeBytes && !yield(T(c.Bytes)) {
				return
			}
		}
	}
}

// Len counts the elements.
func (l List[T]) Len() (n int) {
	for c := (wire.Cursor{Buf: l.raw}); c.Next(); {
		if c.Num == l.num && c.Type == wire.TypeBytes {
			n++
		}
	}
	return n
}

// region is the part of a message in which a repeated field occurs, and the
// number of the field.
type region struct {
	raw []byte
	num uint32
}

// extend extends the region of m to the field that c is at.
func (r *region) extend(m []byte, c *wire.Cursor) {
	start := c.Start
	if r.raw != nil {
		start = cap(m) - cap(r.raw) // its offset: raw is a slice of m
	}
	*r = region{m[start:c.End], c.Num}
}

// Varints is a repeated field of integers or enums, packed or not.
type Varints[T ~int32 | ~int64 | ~uint32 | ~uint64] struct{ region }

// All iterates over the values.
func (l Varints[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		for c := (wire.Cursor{Buf: l.raw}); c.Next(); {
			switch {
			case c.Num != l.num:
			case c.Type == wire.TypeVarint:
				if !yield(T(c.Scalar)) {
					return
				}
			case c.Type == wire.TypeBytes:
				for i := 0; i < len(c.Bytes); {
					v, next, err := wire.Varint(c.Bytes, i)
					if err != nil || !yield(T(v)) {
						return
					}
					i = next
				}
			}
		}
	}
}

// Len counts the values.
func (l Varints[T]) Len() int { return count(l.All()) }

// Fixed64s is a repeated field of fixed64, packed or not.
type Fixed64s struct{ region }

// All iterates over the values.
func (l Fixed64s) All() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for c := (wire.Cursor{Buf: l.raw}); c.Next(); {
			switch {
			case c.Num != l.num:
			case c.Type == wire.TypeFixed64:
				if !yield(c.Scalar) {
					return
				}
			case c.Type == wire.TypeBytes:
				for p := c.Bytes; len(p) >= 8; p = p[8:] {
					if !yield(binary.LittleEndian.Uint64(p)) {
						return
					}
				}
			}
		}
	}
}

// Len counts the values.
func (l Fixed64s) Len() int { return count(l.All()) }

// Doubles is a repeated field of double, packed or not.
type Doubles Fixed64s

// All iterates over the values.
func (l Doubles) All() iter.Seq[float64] {
	return func(yield func(float64) bool) {
		for v := range Fixed64s(l).All() {
			if !yield(math.Float64frombits(v)) {
				return
			}
		}
	}
}

// Len counts the values.
func (l Doubles) Len() int { return Fixed64s(l).Len() }

func count[T any](s iter.Seq[T]) (n int) {
	for range s {
		n++
	}
	return n
}

func zigzag(v uint64) int32 { return int32(uint32(v)>>1) ^ -int32(v&1) }
