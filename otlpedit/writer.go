package otlpedit

import (
	"encoding/binary"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A Writer appends the fields of the message that replaces another. If there is no
// memory for more, it appends nothing from then on, and the Pass ends with the error
// of its Memory.
type Writer struct {
	e   wire.Encoder
	mem Memory // of the present request; nil: the heap
	err error
}

// room reports whether n more bytes can be appended.
func (w *Writer) room(n int) bool {
	return cap(w.e.Buf)-len(w.e.Buf) >= n && w.err == nil || w.grow(n)
}

func (w *Writer) grow(n int) bool {
	size := max(len(w.e.Buf)+n, 2*cap(w.e.Buf), minWriterBytes)
	if w.err == nil && w.mem != nil && size > maxKeptBytes {
		w.err = w.mem.Reserve(size)
	}
	if w.err != nil {
		return false
	}
	w.e.Buf = append(make([]byte, 0, size), w.e.Buf...)
	return true
}

// forget lets go of the memory of a request, and of buffers that are large.
func (w *Writer) forget() {
	if w.mem, w.err = nil, nil; cap(w.e.Buf) > maxKeptBytes {
		w.e.Buf = nil
	}
}

// Raw appends bytes that are whole fields already.
func (w *Writer) Raw(fields []byte) {
	if w.room(len(fields)) {
		w.e.Raw(fields)
	}
}

// Room returns what was appended so far, with capacity for n bytes more, to be appended to
// and given to SetRoom; nil if there is no memory for them.
func (w *Writer) Room(n int) []byte {
	if !w.room(n) {
		return nil
	}
	return w.bytes()
}

// SetRoom makes b, which Room returned and fields were appended to, what was appended.
func (w *Writer) SetRoom(b []byte) { w.e.Buf = b }

// Bytes appends a bytes or message field.
func (w *Writer) Bytes(num uint32, v []byte) {
	if w.room(maxHeadBytes + len(v)) {
		w.e.Bytes(num, v)
	}
}

// String appends a string field.
func (w *Writer) String(num uint32, v string) {
	if w.room(maxHeadBytes + len(v)) {
		w.e.String(num, v)
	}
}

// Varint appends an integer, enum or bool field. Of a sint32 or sint64 field v is
// the zigzag form.
func (w *Writer) Varint(num uint32, v uint64) {
	if w.room(maxHeadBytes) {
		w.e.Varint(num, v)
	}
}

// Fixed64 appends a field of 8 bytes.
func (w *Writer) Fixed64(num uint32, v uint64) {
	if w.room(maxHeadBytes) {
		w.e.Fixed64(num, v)
	}
}

// Double appends a double field.
func (w *Writer) Double(num uint32, v float64) { w.Fixed64(num, math.Float64bits(v)) }

// Fixed32 appends a field of 4 bytes.
func (w *Writer) Fixed32(num uint32, v uint32) {
	if w.room(maxHeadBytes) {
		w.e.Fixed32(num, v)
	}
}

// Open begins a nested message; all that is appended until Close(mark) belongs to
// it. Pairs of Open and Close may be nested.
func (w *Writer) Open(num uint32) (mark int) {
	if !w.room(maxHeadBytes) {
		return len(w.e.Buf)
	}
	return w.e.Open(num)
}

// Close ends the nested message of mark and writes its length.
func (w *Writer) Close(mark int) {
	if w.room(maxHeadBytes) { // the length may move the message
		w.e.Close(mark)
	}
}

// Each appends message m with every field num, a string, bytes or message, as
// edit leaves it: edit appends to w what replaces the value, or answers Keep or
// Drop. All other fields are copied. If no field changes, nothing is appended,
// and changed is false. Inside edit, Each may be called for a message further in:
//
//	w.Each(metric, otlpfield.MetricGauge, func(gauge []byte) otlpedit.Verdict {
//		if w.Each(gauge, otlpfield.GaugeDataPoints, editPoint) {
//			return otlpedit.Replace
//		}
//		return otlpedit.Keep
//	})
func (w *Writer) Each(m []byte, num uint32, edit func(value []byte) Verdict) (changed bool) {
	begin, copied := len(w.e.Buf), 0
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		w.Raw(m[copied:c.Start]) // ahead of what edit appends
		copied = c.Start
		after := len(w.e.Buf)
		mark := w.Open(num)
		verdict := edit(c.Bytes)
		if verdict == Replace {
			w.Close(mark)
		} else {
			w.e.Buf = w.e.Buf[:after]
		}
		if verdict != Keep {
			changed, copied = true, c.End
		}
	}
	if !changed {
		w.e.Buf = w.e.Buf[:begin]
		return false
	}
	w.Raw(m[copied:])
	return true
}

// Without appends message m except for all fields num, of any type: to set a field
// append it afterwards.
func (w *Writer) Without(m []byte, num uint32) {
	copied := 0
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num == num {
			w.Raw(m[copied:c.Start])
			copied = c.End
		}
	}
	w.Raw(m[copied:])
}

// Attribute appends an attribute in field num: a key, and a value that is an
// AnyValue; nil means that there is none.
func (w *Writer) Attribute(num uint32, key string, value []byte) {
	mark := w.Open(num)
	w.String(otlpfield.KeyValueKey, key)
	if value != nil {
		w.Bytes(otlpfield.KeyValueValue, value)
	}
	w.Close(mark)
}

// KeyedValue appends an attribute in field num, which is below 16: key is the whole
// field of its key, and value is an AnyValue; nil means that there is none.
func (w *Writer) KeyedValue(num uint32, key, value []byte) {
	n := len(key)
	if value != nil {
		n += fieldBytes(len(value))
	}
	if !w.room(maxHeadBytes + n) {
		return
	}
	b := append(w.e.Buf, byte(num<<3|uint32(wire.TypeBytes)))
	b = append(binary.AppendUvarint(b, uint64(n)), key...)
	if value != nil {
		b = append(b, otlpfield.KeyValueValue<<3|byte(wire.TypeBytes))
		b = append(binary.AppendUvarint(b, uint64(len(value))), value...)
	}
	w.e.Buf = b
}

// AttributeWithValue appends, in field num, attribute with another value, an
// AnyValue or nil for none. All else of it stays: the key, be it in place or a
// reference, and unknown fields.
func (w *Writer) AttributeWithValue(num uint32, attribute, value []byte) {
	mark := w.Open(num)
	pending := value != nil
	for c := (wire.Cursor{Buf: attribute}); c.Next(); {
		if c.Num != otlpfield.KeyValueValue || c.Type != wire.TypeBytes {
			w.Raw(attribute[c.Start:c.End])
		} else if pending {
			w.Bytes(otlpfield.KeyValueValue, value)
			pending = false
		}
	}
	if pending {
		w.Bytes(otlpfield.KeyValueValue, value)
	}
	w.Close(mark)
}

// Written returns what was appended, until the next call of a method.
func (w *Writer) Written() []byte { return w.e.Buf }

// bytes returns the message, which is not nil.
func (w *Writer) bytes() []byte {
	if w.e.Buf == nil {
		w.e.Buf = []byte{}
	}
	return w.e.Buf
}
