package wire

import (
	"encoding/binary"
	"math"
)

// Cursor walks the fields of one message:
//
//	c := wire.Cursor{Buf: message}
//	for c.Next() {
//		switch c.Num { … c.Bytes … }
//	}
//	if c.Err != nil { … }
//
// Over bytes that were checked Err stays nil.
type Cursor struct {
	Buf []byte
	Err error

	Num  uint32
	Type Type
	// Scalar is the value of a varint or fixed field.
	Scalar uint64
	// Bytes is the value of a length-delimited field, and a whole group with
	// its end tag.
	Bytes []byte
	// Start and End bound the field in Buf, tag included: Buf[Start:End] is
	// what to copy to keep the field as it is.
	Start, End int
}

// Next moves to the next field. It returns false at the end or on bad bytes,
// for which it sets Err.
func (c *Cursor) Next() bool {
	i := c.End
	if i >= len(c.Buf) || c.Err != nil {
		return false
	}
	c.Start = i
	var err error
	if c.Num, c.Type, i, err = Tag(c.Buf, i); err == nil {
		err = c.value(i)
	}
	if err != nil {
		c.Err = err
		return false
	}
	return true
}

func (c *Cursor) value(i int) (err error) {
	switch c.Type {
	case TypeVarint:
		c.Scalar, c.End, err = Varint(c.Buf, i)
	case TypeBytes:
		var start int
		if start, c.End, err = Length(c.Buf, i); err == nil {
			c.Bytes = c.Buf[start:c.End:c.End]
		}
	case TypeFixed64:
		if c.End, err = skipN(c.Buf, i, 8); err == nil {
			c.Scalar = binary.LittleEndian.Uint64(c.Buf[i:])
		}
	case TypeFixed32:
		if c.End, err = skipN(c.Buf, i, 4); err == nil {
			c.Scalar = uint64(binary.LittleEndian.Uint32(c.Buf[i:]))
		}
	default:
		if c.End, err = Skip(c.Buf, i, c.Num, c.Type); err == nil {
			c.Bytes = c.Buf[i:c.End:c.End]
		}
	}
	return err
}

// Tag returns the field's number and type as they stand on the wire:
// number<<3 | type.
func (c *Cursor) Tag() uint32 { return c.Num<<3 | uint32(c.Type) }

// Double returns Scalar as the double it encodes.
func (c *Cursor) Double() float64 { return math.Float64frombits(c.Scalar) }

// LastScalar returns the value of the field num of type t that comes last, which
// is the one that counts (encoding guide, "Last One Wins").
func LastScalar(b []byte, num uint32, t Type) (v uint64, ok bool) {
	for c := (Cursor{Buf: b}); c.Next(); {
		if c.Num == num && c.Type == t {
			v, ok = c.Scalar, true
		}
	}
	return v, ok
}

// LastBytes returns the last string or bytes field num; nil if there is none.
func LastBytes(b []byte, num uint32) (v []byte) {
	for c := (Cursor{Buf: b}); c.Next(); {
		if c.Num == num && c.Type == TypeBytes {
			v = c.Bytes
		}
	}
	return v
}

// Merged returns the message field num; nil if there is none. A message that
// occurs more than once is the merger of its parts, and that is what the parts
// laid end to end say. Only then is memory allocated.
func Merged(b []byte, num uint32) (v []byte) {
	for c := (Cursor{Buf: b}); c.Next(); {
		if c.Num == num && c.Type == TypeBytes {
			v = Merge(v, c.Bytes)
		}
	}
	return v
}

// Merge returns the message that part makes of v: part itself if v is absent.
// v is a Cursor's Bytes or what Merge returned. The former have no room behind
// them, so appending never writes to the request; the latter keep theirs, else
// a message in many small parts would be copied once for each.
func Merge(v, part []byte) []byte {
	if v == nil {
		return part
	}
	return append(v, part...)
}
