package otlpedit

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A Writer appends the fields of the message that replaces another.
type Writer struct{ e wire.Encoder }

// Raw appends bytes that are whole fields already.
func (w *Writer) Raw(fields []byte) { w.e.Raw(fields) }

// Bytes appends a bytes or message field.
func (w *Writer) Bytes(num uint32, v []byte) { w.e.Bytes(num, v) }

// String appends a string field.
func (w *Writer) String(num uint32, v string) { w.e.String(num, v) }

// Varint appends an integer, enum or bool field. Of a sint32 or sint64 field v is
// the zigzag form.
func (w *Writer) Varint(num uint32, v uint64) { w.e.Varint(num, v) }

// Fixed64 appends a field of 8 bytes.
func (w *Writer) Fixed64(num uint32, v uint64) { w.e.Fixed64(num, v) }

// Double appends a double field.
func (w *Writer) Double(num uint32, v float64) { w.e.Double(num, v) }

// Fixed32 appends a field of 4 bytes.
func (w *Writer) Fixed32(num uint32, v uint32) { w.e.Fixed32(num, v) }

// Open begins a nested message; all that is appended until Close(mark) belongs to
// it. Pairs of Open and Close may be nested.
func (w *Writer) Open(num uint32) (mark int) { return w.e.Open(num) }

// Close ends the nested message of mark and writes its length.
func (w *Writer) Close(mark int) { w.e.Close(mark) }

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
		before := len(w.e.Buf)
		w.e.Raw(m[copied:c.Start]) // ahead of what edit appends
		after := len(w.e.Buf)
		mark := w.e.Open(num)
		switch edit(c.Bytes) {
		case Replace:
			w.e.Close(mark)
		case Drop:
			w.e.Buf = w.e.Buf[:after]
		default:
			w.e.Buf = w.e.Buf[:before]
			continue
		}
		changed, copied = true, c.End
	}
	if !changed {
		w.e.Buf = w.e.Buf[:begin]
		return false
	}
	w.e.Raw(m[copied:])
	return true
}

// Without appends message m except for all fields num, of any type: to set a field
// append it afterwards.
func (w *Writer) Without(m []byte, num uint32) {
	copied := 0
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num == num {
			w.e.Raw(m[copied:c.Start])
			copied = c.End
		}
	}
	w.e.Raw(m[copied:])
}

// Attribute appends an attribute in field num: a key, and a value that is an
// AnyValue; nil means that there is none.
func (w *Writer) Attribute(num uint32, key string, value []byte) {
	mark := w.e.Open(num)
	w.e.String(otlpfield.KeyValueKey, key)
	if value != nil {
		w.e.Bytes(otlpfield.KeyValueValue, value)
	}
	w.e.Close(mark)
}

// AttributeWithValue appends, in field num, attribute with another value, an
// AnyValue or nil for none. All else of it stays: the key, be it in place or a
// reference, and unknown fields.
func (w *Writer) AttributeWithValue(num uint32, attribute, value []byte) {
	mark := w.e.Open(num)
	pending := value != nil
	for c := (wire.Cursor{Buf: attribute}); c.Next(); {
		if c.Num != otlpfield.KeyValueValue || c.Type != wire.TypeBytes {
			w.e.Raw(attribute[c.Start:c.End])
		} else if pending {
			w.e.Bytes(otlpfield.KeyValueValue, value)
			pending = false
		}
	}
	if pending {
		w.e.Bytes(otlpfield.KeyValueValue, value)
	}
	w.e.Close(mark)
}

// bytes returns the message, which is not nil.
func (w *Writer) bytes() []byte {
	if w.e.Buf == nil {
		w.e.Buf = []byte{}
	}
	return w.e.Buf
}
