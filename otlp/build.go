package otlp

import (
	"encoding/binary"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Encoder holds what builders append. The zero value is ready for use.
type Encoder struct {
	// Buf is the wire form of what was appended so far. It is complete when all
	// nested messages are closed. To use memory again, set it to a slice of
	// length 0.
	Buf []byte
}

func closeMessage(e *wire.Encoder, mark int) {
	if mark >= 0 {
		e.Close(mark)
	}
}

func packVarints[T ~int32 | ~int64 | ~uint32 | ~uint64](e *wire.Encoder, num uint32, vs []T) {
	if len(vs) == 0 {
		return
	}
	mark := e.Open(num)
	for _, v := range vs {
		e.Buf = binary.AppendUvarint(e.Buf, uint64(v))
	}
	e.Close(mark)
}

func packFixed64s(e *wire.Encoder, num uint32, vs []uint64) {
	if len(vs) == 0 {
		return
	}
	mark := e.Open(num)
	for _, v := range vs {
		e.Buf = binary.LittleEndian.AppendUint64(e.Buf, v)
	}
	e.Close(mark)
}

func packDoubles(e *wire.Encoder, num uint32, vs []float64) {
	if len(vs) == 0 {
		return
	}
	mark := e.Open(num)
	for _, v := range vs {
		e.Buf = binary.LittleEndian.AppendUint64(e.Buf, math.Float64bits(v))
	}
	e.Close(mark)
}

func boolVarint(v bool) uint64 {
	if v {
		return 1
	}
	return 0
}

func negativeZero(v float64) bool { return v == 0 && math.Signbit(v) }

func unzigzag(v int32) uint64 { return uint64(uint32(v<<1) ^ uint32(v>>31)) }

// AppendPartialSuccess appends the response to an export of any signal: the
// number of rejected items and an error message. If nothing was rejected and
// there is no message, the response is empty (OTLP specification, "Full
// Success").
func AppendPartialSuccess(dst []byte, rejected int64, message string) []byte {
	if rejected == 0 && message == "" {
		return dst
	}
	e := wire.Encoder{Buf: dst}
	mark := e.Open(otlpfield.ResponsePartialSuccess)
	if rejected != 0 {
		e.Varint(otlpfield.PartialSuccessRejected, uint64(rejected))
	}
	if message != "" {
		e.String(otlpfield.PartialSuccessErrorMessage, message)
	}
	e.Close(mark)
	return e.Buf
}

// ParsePartialSuccess reads the response to an export of any signal: the number
// of rejected items and the error message, which points into response. A
// partial_success that is split in several parts is merged.
func ParsePartialSuccess(response []byte) (rejected int64, message []byte, err error) {
	c := wire.Cursor{Buf: response}
	for c.Next() {
		if c.Num != otlpfield.ResponsePartialSuccess || c.Type != wire.TypeBytes {
			continue
		}
		part := wire.Cursor{Buf: c.Bytes}
		for part.Next() {
			switch part.Tag() {
			case otlpfield.PartialSuccessRejected<<3 | uint32(wire.TypeVarint):
				rejected = int64(part.Scalar)
			case otlpfield.PartialSuccessErrorMessage<<3 | uint32(wire.TypeBytes):
				message = part.Bytes
			}
		}
		if part.Err != nil {
			return 0, nil, part.Err
		}
	}
	if c.Err != nil {
		return 0, nil, c.Err
	}
	return rejected, message, nil
}
