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
// For bytes that were checked Err is always nil.
type Cursor struct {
	Buf []byte
	Err error

	Num  uint32
	Type Type
	// Scalar is the value of a varint or fixed field.
	Scalar uint64
	// Bytes is the value of a length-delimited field, or a group with its end tag.
	Bytes []byte
	// Start and End are the bounds of the field in Buf, including its tag: to copy
	// the field unchanged, copy Buf[Start:End].
	Start, End int
}

// Next moves to the next field. It returns false at the end, or at invalid bytes, for
// which it sets Err.
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

// Tag returns the field's number and type as on the wire: number<<3 | type.
func (c *Cursor) Tag() uint32 { return c.Num<<3 | uint32(c.Type) }

// Double returns Scalar as a double.
func (c *Cursor) Double() float64 { return math.Float64frombits(c.Scalar) }

// LastScalar returns the value of the last field with this number and type, which is
// the one that counts (encoding guide, "Last One Wins").
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

// Merged returns the message field num; nil if there is none. If the field occurs
// more than once, the message is the concatenation of its parts; only then is memory
// allocated.
func Merged(b []byte, num uint32) (v []byte) {
	for c := (Cursor{Buf: b}); c.Next(); {
		switch {
		case c.Num != num || c.Type != TypeBytes:
		case v != nil:
			return concatenated(b, num)
		default:
			v = c.Bytes
		}
	}
	return v
}

// concatenated allocates once, of the exact size.
func concatenated(b []byte, num uint32) []byte {
	size := 0
	for c := (Cursor{Buf: b}); c.Next(); {
		if c.Num == num && c.Type == TypeBytes {
			size += len(c.Bytes)
		}
	}
	v := make([]byte, 0, size)
	for c := (Cursor{Buf: b}); c.Next(); {
		if c.Num == num && c.Type == TypeBytes {
			v = append(v, c.Bytes...)
		}
	}
	return v
}

// Merge returns the message v merged with part; part itself if v is nil. v must be
// the Bytes of a Cursor or a result of Merge. The former have no spare capacity, so
// that appending does not write to the request. The latter keep theirs, so that a
// message in many small parts is not copied for each of them.
func Merge(v, part []byte) []byte {
	if v == nil {
		return part
	}
	return append(v, part...)
}
