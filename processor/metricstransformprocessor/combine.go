package metricstransformprocessor

import (
	"errors"
	"fmt"
	"maps"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// combinable returns an *unsupportedError if metrics cannot be combined.
func combinable(all []*metric, mem aggregate.Memory) error {
	first := all[0]
	for _, m := range all {
		if m.data == otlpfield.MetricSummary {
			return &unsupportedError{fmt.Sprintf("combine the summary %q: it has no values that can be joined", m.name)}
		}
	}
	keys, err := first.keys(mem)
	for _, m := range all[1:] {
		own, errOwn := m.keys(mem)
		if err := errors.Join(err, errOwn); err != nil {
			return err
		}
		differ := ""
		switch {
		case m.data != first.data:
			differ = "types"
		case string(otlp.Metric(m.raw).Unit()) != string(otlp.Metric(first.raw).Unit()):
			differ = "units"
		case !maps.Equal(own, keys):
			differ = "attributes"
		case m.setting(otlpfield.SumAggregationTemporality) != first.setting(otlpfield.SumAggregationTemporality):
			differ = "temporalities"
		case m.data == otlpfield.MetricSum && m.setting(otlpfield.SumIsMonotonic) != first.setting(otlpfield.SumIsMonotonic):
			differ = "monotonicities"
		}
		if differ != "" {
			return &unsupportedError{fmt.Sprintf("combine %q and %q: they have different %s", first.name, m.name, differ)}
		}
	}
	return nil
}

// setting returns an integer beside the data points.
func (m *metric) setting(num uint32) uint64 {
	if m.data == otlpfield.MetricGauge {
		return 0
	}
	v, _ := wire.LastScalar(m.content, num, wire.TypeVarint)
	return v
}

// keyBytes is what a key takes in a map, beside its text.
const keyBytes = 96

// keys returns the keys of all attributes of the points.
func (m *metric) keys(mem aggregate.Memory) (map[string]bool, error) {
	var all map[string]bool
	for _, p := range m.points {
		for c := (wire.Cursor{Buf: p}); c.Next(); {
			if c.Num != m.attributes || c.Type != wire.TypeBytes {
				continue
			}
			key := otlp.KeyValue(c.Bytes).Decode().Key
			if all[string(key)] {
				continue
			}
			if err := mem.Reserve(len(key) + keyBytes); err != nil {
				return nil, err
			}
			if all == nil {
				all = map[string]bool{}
			}
			all[string(key)] = true
		}
	}
	return all, nil
}

// combined returns the metric that has the points of all. The texts of the groups of the
// pattern become attributes.
func (t *transform) combined(all []metric, mem aggregate.Memory) (metric, error) {
	one := all[0]
	one.name, one.points, one.changed = []byte(t.newName), nil, true
	if err := mem.Reserve(len(t.newName)); err != nil {
		return one, err
	}
	for i := range all {
		m := &all[i]
		for _, l := range t.labelsOf(m.name) {
			e := attributeEdit{set: []byte(l.key), value: l.value}
			if err := m.setPoints(mem, func(p []byte) ([]byte, error) { return e.apply(p, m.attributes, mem) }); err != nil {
				return one, err
			}
		}
		if err := mem.Reserve(2 * pointRoom * len(m.points)); err != nil {
			return one, err
		}
		one.points = append(one.points, m.points...)
	}
	return one, one.join(t.function, one.points, mem)
}

// labelsOf returns the texts of the groups of the pattern in a name.
func (t *transform) labelsOf(name []byte) (labels []label) {
	if t.pattern == nil {
		return nil
	}
	at := t.pattern.FindSubmatchIndex(name)
	for i, key := range t.newLabels {
		if begin := 2 * (i + 1); begin+1 < len(at) && at[begin] >= 0 && at[begin] < at[begin+1] {
			labels = append(labels, label{key, textValue(t.changeCase(string(name[at[begin]:at[begin+1]])))})
		}
	}
	return labels
}
