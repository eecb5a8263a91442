package metricstransformprocessor

import (
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// headBytes is room for the tag and the length of a field whose number is below 16.
const headBytes = 6

// pointRoom is what a data point takes in a list.
const pointRoom = 48

// metric is a Metric taken apart down to its data points, which are bytes. The points may
// be those of another metric too, and are not changed in place.
type metric struct {
	raw        []byte // the whole Metric, as it came
	name       []byte
	data       uint32 // the field with the points; 0: it has none
	content    []byte // of that field
	attributes uint32 // the field of a point
	points     [][]byte
	changed    bool
}

// parse takes a metric apart. Of several kinds of data the last counts.
func parse(raw []byte, mem aggregate.Memory) (metric, error) {
	m := metric{raw: raw}
	for c := (wire.Cursor{Buf: raw}); c.Next(); {
		switch {
		case c.Type != wire.TypeBytes:
		case c.Num == otlpfield.MetricName:
			m.name = c.Bytes
		case aggregate.AttributesOf(c.Num) != 0:
			m.data = c.Num
		}
	}
	if m.data == 0 {
		return m, nil
	}
	m.attributes = aggregate.AttributesOf(m.data)
	m.content = wire.Merged(raw, m.data)
	n := 0
	for c := (wire.Cursor{Buf: m.content}); c.Next(); {
		if isPoint(&c) {
			n++
		}
	}
	if err := mem.Reserve(pointRoom * n); err != nil {
		return m, err
	}
	m.points = make([][]byte, 0, n)
	for c := (wire.Cursor{Buf: m.content}); c.Next(); {
		if isPoint(&c) {
			m.points = append(m.points, c.Bytes)
		}
	}
	return m, nil
}

func isPoint(c *wire.Cursor) bool {
	return c.Num == otlpfield.GaugeDataPoints && c.Type == wire.TypeBytes
}

// nameIn returns the name of a metric that is not taken apart.
func nameIn(raw []byte) []byte { return otlp.Metric(raw).Name() }

// delta reports whether the points are deltas.
func (m *metric) delta() bool {
	v, _ := wire.LastScalar(m.content, otlpfield.SumAggregationTemporality, wire.TypeVarint)
	return v == 1
}

// size returns how many bytes the metric takes at most.
func (m *metric) size() int {
	if !m.changed {
		return len(m.raw)
	}
	n := len(m.raw) + len(m.name) + 2*headBytes
	for _, p := range m.points {
		n += len(p) + headBytes
	}
	return n
}

// appendTo writes the metric: its name, the fields that stay, and the points.
func (m *metric) appendTo(e *wire.Encoder) {
	if len(m.name) > 0 {
		e.Bytes(otlpfield.MetricName, m.name)
	}
	for c := (wire.Cursor{Buf: m.raw}); c.Next(); {
		if c.Num != otlpfield.MetricName && aggregate.AttributesOf(c.Num) == 0 {
			e.Raw(m.raw[c.Start:c.End])
		}
	}
	if m.data == 0 {
		return
	}
	mark := e.Open(m.data)
	for c := (wire.Cursor{Buf: m.content}); c.Next(); {
		if !isPoint(&c) {
			e.Raw(m.content[c.Start:c.End])
		}
	}
	for _, p := range m.points {
		e.Bytes(otlpfield.GaugeDataPoints, p)
	}
	e.Close(mark)
}

// encode returns the metric as bytes.
func (m *metric) encode(mem aggregate.Memory) ([]byte, error) {
	size := m.size()
	if err := mem.Reserve(size); err != nil {
		return nil, err
	}
	e := wire.Encoder{Buf: make([]byte, 0, size)}
	m.appendTo(&e)
	return e.Buf, nil
}

// extracted returns a metric with the points that match, if there are any; a metric without
// points as it is.
func (t *transform) extracted(m metric, mem aggregate.Memory) (metric, bool, error) {
	if !t.matchesName(m.name) {
		return m, false, nil
	}
	if err := mem.Reserve(pointRoom * len(m.points)); err != nil {
		return m, false, err
	}
	all := m.points
	m.points = make([][]byte, 0, len(all))
	for _, p := range all {
		if t.matchesPoint(p, m.attributes) {
			m.points = append(m.points, p)
		}
	}
	m.changed = m.changed || len(m.points) < len(all)
	return m, len(m.points) > 0 || len(all) == 0, nil
}

// setPoints replaces the points that edit changes. edit returns the point itself if it does
// not change, and nil to drop it.
func (m *metric) setPoints(mem aggregate.Memory, edit func(point []byte) ([]byte, error)) error {
	owned := false
	kept := m.points
	for i, p := range m.points {
		now, err := edit(p)
		if err != nil {
			return err
		}
		if !owned && (now == nil || !same(p, now)) {
			if err := mem.Reserve(pointRoom * len(m.points)); err != nil {
				return err
			}
			kept, owned, m.changed = append(make([][]byte, 0, len(m.points)), m.points[:i]...), true, true
		}
		if owned && now != nil {
			kept = append(kept, now)
		}
	}
	m.points = kept
	return nil
}

// same reports whether two slices are the same memory.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// attributeEdit is a change of the attributes of a data point.
type attributeEdit struct {
	remove []byte                // the first attribute with this key goes
	set    []byte                // the first attribute with this key gets a value, or is added
	value  []byte                // an AnyValue
	keep   func(key []byte) bool // nil: all others stay
}

// apply returns a point with changed attributes, which are in field num.
func (a attributeEdit) apply(point []byte, num uint32, mem aggregate.Memory) ([]byte, error) {
	size := len(point) + len(a.set) + len(a.value) + 4*headBytes
	if err := mem.Reserve(size); err != nil {
		return nil, err
	}
	e := wire.Encoder{Buf: make([]byte, 0, size)}
	removed, set := a.remove == nil, a.set == nil
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			e.Raw(point[c.Start:c.End])
			continue
		}
		key := otlp.KeyValue(c.Bytes).Decode().Key
		switch {
		case a.keep != nil && !a.keep(key):
		case !removed && slices.Equal(key, a.remove):
			removed = true
		case !set && slices.Equal(key, a.set):
			set = true
			appendAttribute(&e, num, a.set, a.value)
		default:
			e.Raw(point[c.Start:c.End])
		}
	}
	if !set {
		appendAttribute(&e, num, a.set, a.value)
	}
	return e.Buf, nil
}

func appendAttribute(e *wire.Encoder, num uint32, key, value []byte) {
	mark := e.Open(num)
	e.Bytes(otlpfield.KeyValueKey, key)
	if value != nil {
		e.Bytes(otlpfield.KeyValueValue, value)
	}
	e.Close(mark)
}
