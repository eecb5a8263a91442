package aggregate

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// AttributesField returns the field of the attributes in the data points of metrics whose
// data are in field data.
func AttributesField(data uint32) uint32 {
	switch data {
	case otlpfield.MetricHistogram:
		return otlpfield.HistogramDataPointAttributes
	case otlpfield.MetricExponentialHistogram:
		return otlpfield.ExponentialHistogramDataPointAttributes
	}
	return otlpfield.NumberDataPointAttributes // also of SummaryDataPoint
}

// keyBuilder writes what the points of a group have in common, the same bytes for the same
// values.
type keyBuilder struct {
	buf     []byte
	entries []entry // of the attributes, and behind them of the maps in them
}

// entry is an attribute.
type entry struct{ key, value []byte }

// forget lets go of the points.
func (k *keyBuilder) forget() { clear(k.entries[:cap(k.entries)]) }

// of returns the key of a point, valid until the next call.
func (k *keyBuilder) of(a *Aggregator, raw []byte) []byte {
	k.buf, k.entries = k.buf[:0], k.entries[:0]
	attributes := AttributesField(a.data)
	var start, time uint64
	for c := (wire.Cursor{Buf: raw}); c.Next(); {
		switch {
		case c.Num == attributes && c.Type == wire.TypeBytes:
			k.read(c.Bytes)
		case c.Num == otlpfield.NumberDataPointStartTimeUnixNano && c.Type == wire.TypeFixed64:
			start = c.Scalar
		case c.Num == otlpfield.NumberDataPointTimeUnixNano && c.Type == wire.TypeFixed64:
			time = c.Scalar
		}
	}
	k.number(time)
	if a.byStart {
		k.number(start)
	}
	switch a.data {
	case otlpfield.MetricHistogram:
		k.histogram(otlp.HistogramDataPoint(raw))
	case otlpfield.MetricExponentialHistogram:
		k.exponential(otlp.ExponentialHistogramDataPoint(raw))
	}
	k.sorted(0)
	return k.buf
}

func (k *keyBuilder) histogram(p otlp.HistogramDataPoint) {
	f := p.Decode()
	k.flags(f.HasMin, f.HasMax, f.Flags)
	n := 0
	for b := range f.ExplicitBounds.All() {
		k.number(doubleBits(b))
		n++
	}
	k.number(uint64(n))
}

func (k *keyBuilder) exponential(p otlp.ExponentialHistogramDataPoint) {
	f := p.Decode()
	k.flags(f.HasMin, f.HasMax, f.Flags)
	k.number(uint64(f.Scale))
}

func (k *keyBuilder) flags(hasMin, hasMax bool, flags uint32) {
	n := uint64(flags) << 2
	if hasMin {
		n |= 1
	}
	if hasMax {
		n |= 2
	}
	k.number(n)
}

func (k *keyBuilder) number(n uint64) { k.buf = binary.LittleEndian.AppendUint64(k.buf, n) }

// bytes appends b so that no other bytes begin with it.
func (k *keyBuilder) bytes(b []byte) {
	k.buf = append(binary.AppendUvarint(k.buf, uint64(len(b))), b...)
}

// read adds an entry.
func (k *keyBuilder) read(kv []byte) {
	f := otlp.KeyValue(kv).Decode()
	k.entries = append(k.entries, entry{f.Key, f.Value})
}

// sorted appends the entries from an index on, by their keys.
func (k *keyBuilder) sorted(from int) {
	to := len(k.entries)
	slices.SortStableFunc(k.entries[from:], func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	k.buf = binary.AppendUvarint(k.buf, uint64(to-from))
	for i := from; i < to; i++ {
		e := k.entries[i]
		k.bytes(e.key)
		k.value(e.value)
	}
	k.entries = k.entries[:from]
}

// value appends an AnyValue. otlp.Check bounds how deep it recurses.
func (k *keyBuilder) value(any []byte) {
	u := otlp.AnyValue(any).Value()
	k.buf = append(k.buf, byte(u.Num))
	switch u.Num {
	case otlpfield.AnyValueStringValue, otlpfield.AnyValueBytesValue:
		k.bytes(u.Bytes)
	case otlpfield.AnyValueArrayValue:
		for v := range otlp.ArrayValue(u.Bytes).Values().All() {
			k.buf = append(k.buf, 1)
			k.value(v)
		}
		k.buf = append(k.buf, 0)
	case otlpfield.AnyValueKvlistValue:
		from := len(k.entries)
		for kv := range otlp.KeyValueList(u.Bytes).Values().All() {
			k.read(kv)
		}
		k.sorted(from)
	default:
		k.number(u.Scalar)
	}
}
