package wire

import (
	"encoding/binary"
	"math"
)

// Encoder appends fields to Buf. The zero value is ready for use; to reuse memory,
// set Buf to a slice of length 0.
type Encoder struct {
	Buf []byte
}

// AppendTag appends a field's number and type.
func AppendTag(b []byte, num uint32, t Type) []byte {
	return binary.AppendUvarint(b, uint64(num)<<3|uint64(t))
}

// AppendBytes appends a length-delimited field.
func AppendBytes[T ~string | ~[]byte](b []byte, num uint32, v T) []byte {
	b = AppendTag(b, num, TypeBytes)
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

// SizeVarint returns the size of v as a varint in bytes.
func SizeVarint(v uint64) int {
	n := 1
	for v >= 0x80 {
		v >>= 7
		n++
	}
	return n
}

// Varint appends a varint field.
func (e *Encoder) Varint(num uint32, v uint64) {
	e.Buf = AppendTag(e.Buf, num, TypeVarint)
	e.Buf = binary.AppendUvarint(e.Buf, v)
}

// Fixed64 appends an 8-byte field.
func (e *Encoder) Fixed64(num uint32, v uint64) {
	e.Buf = AppendTag(e.Buf, num, TypeFixed64)
	e.Buf = binary.LittleEndian.AppendUint64(e.Buf, v)
}

// Double appends a double.
func (e *Encoder) Double(num uint32, v float64) { e.Fixed64(num, math.Float64bits(v)) }

// Fixed32 appends a 4-byte field.
func (e *Encoder) Fixed32(num uint32, v uint32) {
	e.Buf = AppendTag(e.Buf, num, TypeFixed32)
	e.Buf = binary.LittleEndian.AppendUint32(e.Buf, v)
}

// Bytes appends a bytes or message field.
func (e *Encoder) Bytes(num uint32, v []byte) { e.Buf = AppendBytes(e.Buf, num, v) }

// String appends a string field.
func (e *Encoder) String(num uint32, v string) { e.Buf = AppendBytes(e.Buf, num, v) }

// Raw appends fields that are encoded already.
func (e *Encoder) Raw(fields []byte) { e.Buf = append(e.Buf, fields...) }

// Open begins a nested message and returns the mark for Close. Everything appended
// between the two belongs to the nested message. Calls of Open and Close can be
// nested.
func (e *Encoder) Open(num uint32) (mark int) {
	e.Buf = append(AppendTag(e.Buf, num, TypeBytes), 0)
	return len(e.Buf)
}

// Close ends the nested message. Open reserved one byte for its length; a message of
// 128 bytes or more is moved to make space for the rest.
func (e *Encoder) Close(mark int) {
	n := len(e.Buf) - mark
	if n < 0x80 {
		e.Buf[mark-1] = byte(n)
		return
	}
	more := SizeVarint(uint64(n)) - 1
	var room [9]byte
	e.Buf = append(e.Buf, room[:more]...)
	copy(e.Buf[mark+more:], e.Buf[mark:mark+n])
	binary.PutUvarint(e.Buf[mark-1:], uint64(n))
}
