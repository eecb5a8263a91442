package aggregate

import (
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// AppendPoints appends the fields of a Gauge, Sum, Histogram, ExponentialHistogram or
// Summary with each data point as edit leaves it: edit appends the fields of the point.
func AppendPoints(enc *wire.Encoder, fields []byte, edit func(point []byte)) {
	for c := (wire.Cursor{Buf: fields}); c.Next(); {
		if c.Num != otlpfield.GaugeDataPoints || c.Type != wire.TypeBytes {
			enc.Raw(fields[c.Start:c.End])
			continue
		}
		mark := enc.Open(c.Num)
		edit(c.Bytes)
		enc.Close(mark)
	}
}

// AppendKept appends a data point of metrics whose data are in field data, with those of
// its attributes that have one of keys.
func AppendKept(enc *wire.Encoder, data uint32, point []byte, keys []string) {
	num := AttributesField(data)
	copied := 0
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes && !slices.Contains(keys, string(otlp.KeyValue(c.Bytes).Key())) {
			enc.Raw(point[copied:c.Start])
			copied = c.End
		}
	}
	enc.Raw(point[copied:])
}

// AppendReplaced appends a data point of metrics whose data are in field data, with the
// string now as the value of attribute key if that is one of values.
func AppendReplaced(enc *wire.Encoder, data uint32, point []byte, key string, values []string, now string) {
	num := AttributesField(data)
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		f := otlp.KeyValue(c.Bytes).Decode()
		if string(f.Key) != key {
			continue
		}
		if v := f.Value.Value(); v.Num == otlpfield.AnyValueStringValue && slices.Contains(values, string(v.Bytes)) {
			enc.Raw(point[:c.Start])
			appendText(enc, num, c.Bytes, now)
			enc.Raw(point[c.End:])
			return
		}
		break // the first of several attributes with a key counts
	}
	enc.Raw(point)
}

// appendText appends an attribute with another value, a string.
func appendText(enc *wire.Encoder, num uint32, attribute []byte, text string) {
	mark := enc.Open(num)
	appendOthers(enc, attribute, 1<<otlpfield.KeyValueValue)
	value := enc.Open(otlpfield.KeyValueValue)
	enc.String(otlpfield.AnyValueStringValue, text)
	enc.Close(value)
	enc.Close(mark)
}
