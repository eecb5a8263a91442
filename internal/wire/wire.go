// Package wire reads and writes the wire format of protobuf: field numbers, wire
// types, lengths and values, without a schema.
//
//	message = field*
//	field   = tag value           tag = number<<3 | type, a varint
//	value   = varint              type 0
//	        | 8 bytes             type 1, little endian
//	        | varint n, n bytes   type 2: strings, bytes, messages, packed lists
//	        | field* end-group    types 3 and 4, obsolete
//	        | 4 bytes             type 5, little endian
//
// Reading does not allocate, recurse or panic: over invalid bytes, a Cursor stops
// with an error. Writing appends to one buffer; one byte is reserved for the length
// of a nested message, which is moved if more are needed.
//
// The byte slices that a Cursor returns point into the bytes it reads.
//
// The format is specified at https://protobuf.dev/programming-guides/encoding.
package wire

import (
	"errors"
	"fmt"
)

// Type is a field's wire type.
type Type uint8

// The wire types.
const (
	TypeVarint     Type = 0
	TypeFixed64    Type = 1
	TypeBytes      Type = 2
	TypeStartGroup Type = 3
	TypeEndGroup   Type = 4
	TypeFixed32    Type = 5
)

const (
	// MaxNumber is the largest field number.
	MaxNumber = 1<<29 - 1
	// MaxGroupDepth is the maximum nesting of groups, which are obsolete and occur
	// only in unknown fields.
	MaxGroupDepth = 64
	// MaxMessageBytes is the maximum size of a message: all implementations use
	// int32 for lengths.
	MaxMessageBytes = 1<<31 - 1
)

// The errors of invalid bytes. The caller adds the position.
var (
	ErrTruncated = errors.New("truncated field")
	ErrOverflow  = errors.New("varint longer than 64 bits")
	ErrNumber    = errors.New("field number not between 1 and 536870911")
	ErrType      = errors.New("wire type not between 0 and 5")
	ErrEndGroup  = errors.New("unexpected end of a group")
	ErrDepth     = fmt.Errorf("groups nested deeper than %d levels", MaxGroupDepth)
)

// Varint reads a varint at b[i:] and returns the index after it.
func Varint(b []byte, i int) (v uint64, next int, err error) {
	if uint(i) < uint(len(b)) && b[i] < 0x80 {
		return uint64(b[i]), i + 1, nil
	}
	return varintSlow(b, i)
}

func varintSlow(b []byte, i int) (v uint64, next int, err error) {
	for shift := uint(0); shift < 64; shift += 7 {
		if uint(i) >= uint(len(b)) {
			return 0, i, ErrTruncated
		}
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			return 0, i, ErrOverflow
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i, nil
		}
	}
	return 0, i, ErrOverflow
}

// Length reads a length at b[i:] and returns the bounds of the bytes after it that
// have this length.
func Length(b []byte, i int) (start, end int, err error) {
	n, start, err := Varint(b, i)
	if err != nil {
		return 0, 0, err
	}
	if n > uint64(len(b)-start) {
		return 0, 0, ErrTruncated
	}
	return start, start + int(n), nil
}

// Tag reads a field's number and type at b[i:] and returns the index after it.
func Tag(b []byte, i int) (num uint32, t Type, next int, err error) {
	v, next, err := Varint(b, i)
	if err != nil {
		return 0, 0, next, err
	}
	n := v >> 3
	if n == 0 || n > MaxNumber {
		return 0, 0, next, ErrNumber
	}
	return uint32(n), Type(v & 7), next, nil
}

// Skip returns the index after the value at b[i:] of a field with this number and
// type.
func Skip(b []byte, i int, num uint32, t Type) (next int, err error) {
	switch t {
	case TypeVarint:
		_, next, err = Varint(b, i)
		return next, err
	case TypeFixed64:
		return skipN(b, i, 8)
	case TypeBytes:
		_, next, err = Length(b, i)
		return next, err
	case TypeStartGroup:
		return skipGroup(b, i, num)
	case TypeEndGroup:
		return i, ErrEndGroup
	case TypeFixed32:
		return skipN(b, i, 4)
	}
	return i, ErrType
}

func skipN(b []byte, i, n int) (int, error) {
	if len(b)-i < n {
		return i, ErrTruncated
	}
	return i + n, nil
}

// skipGroup skips a group and the groups inside it, without recursion.
func skipGroup(b []byte, i int, num uint32) (int, error) {
	var open [MaxGroupDepth]uint32
	open[0] = num
	depth := 1
	for depth > 0 {
		v, next, err := Varint(b, i)
		if err != nil {
			return next, err
		}
		// Inside a group the official implementation accepts numbers up to 2^31-1.
		n := v >> 3
		if n == 0 || n > 1<<31-1 {
			return next, ErrNumber
		}
		i = next
		switch t := Type(v & 7); t {
		case TypeStartGroup:
			if depth == MaxGroupDepth {
				return i, ErrDepth
			}
			open[depth] = uint32(n)
			depth++
		case TypeEndGroup:
			depth--
			if open[depth] != uint32(n) {
				return i, ErrEndGroup
			}
		default:
			if i, err = Skip(b, i, uint32(n), t); err != nil {
				return i, err
			}
		}
	}
	return i, nil
}
