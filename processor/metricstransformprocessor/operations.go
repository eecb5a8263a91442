package metricstransformprocessor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// nameBytes is what is allocated for a new name beside the text of the old one.
const nameBytes = 512

// An unsupportedError is about an operation that cannot be applied to a metric. The metric
// stays as the operations before left it.
type unsupportedError struct{ text string }

func (e *unsupportedError) Error() string { return e.text }

// apply renames a metric and applies the operations. It reports whether the metric is kept:
// not if it lost all of its points. An error that is not an *unsupportedError is about
// memory.
func (t *transform) apply(m *metric, mem aggregate.Memory) (kept bool, err error) {
	empty := len(m.points) == 0
	whole := t.action != actionUpdate || t.matchesAll(m)
	if t.newName != "" && whole {
		if err := mem.Reserve(nameBytes + len(m.name)); err != nil {
			return false, err
		}
		m.name, m.changed = t.nameOf(m.name), true
	}
	for i := range t.operations {
		if len(m.points) == 0 {
			break // all of them are about points
		}
		if err := t.operation(&t.operations[i], m, whole, mem); err != nil {
			var unsupported *unsupportedError
			return errors.As(err, &unsupported), err
		}
	}
	return empty || len(m.points) > 0, nil
}

// operation applies one operation. whole says that all points match: some operations are
// for these only.
func (t *transform) operation(o *operation, m *metric, whole bool, mem aggregate.Memory) error {
	matching := func(edit func(point []byte) ([]byte, error)) error {
		return m.setPoints(mem, func(p []byte) ([]byte, error) {
			if !t.matchesPoint(p, m.attributes) {
				return p, nil
			}
			return edit(p)
		})
	}
	switch o.Action {
	case updateLabel:
		return matching(func(p []byte) ([]byte, error) { return o.updateLabel(p, m.attributes, mem) })
	case toggleScalarDataType:
		if isNumber(m.data) {
			return matching(func(p []byte) ([]byte, error) { return toggled(p, mem) })
		}
		return nil
	case scaleValue:
		if scale := scalers[m.data]; scale != nil {
			return matching(func(p []byte) ([]byte, error) { return scale(p, o.Scale, mem) })
		}
		return nil
	}
	if !whole {
		return nil
	}
	switch o.Action {
	case addLabel:
		return m.setPoints(mem, func(p []byte) ([]byte, error) {
			if _, ok := attribute(p, m.attributes, o.newLabel); ok {
				return p, nil
			}
			return attributeEdit{set: o.newLabel, value: o.newValue}.apply(p, m.attributes, mem)
		})
	case deleteLabelValue:
		return m.setPoints(mem, func(p []byte) ([]byte, error) {
			if v, ok := attribute(p, m.attributes, o.label); ok && string(textOf(v)) == o.LabelValue {
				return nil, nil
			}
			return p, nil
		})
	case aggregateLabels:
		return o.aggregate(m, mem, attributeEdit{keep: func(key []byte) bool { return slices.Contains(o.LabelSet, string(key)) }}, nil)
	case aggregateLabelValues:
		return o.aggregate(m, mem, attributeEdit{set: o.label, value: o.newValue}, func(p []byte) bool {
			v, ok := attribute(p, m.attributes, o.label)
			return ok && slices.Contains(o.AggregatedValues, string(textOf(v)))
		})
	}
	return nil
}

// updateLabel renames an attribute and replaces its value.
func (o *operation) updateLabel(p []byte, num uint32, mem aggregate.Memory) ([]byte, error) {
	value, ok := attribute(p, num, o.label)
	if !ok {
		return p, nil
	}
	e := attributeEdit{set: o.label, value: value}
	replaced := false
	if v, ok := o.values[string(textOf(value))]; ok {
		e.value, replaced = v, true
	}
	if o.NewLabel != "" && o.NewLabel != o.Label {
		e.remove, e.set = o.label, o.newLabel
	} else if !replaced {
		return p, nil
	}
	return e.apply(p, num, mem)
}

// aggregate changes the attributes of points, of all or of those that where selects, and
// joins those that are the same then.
func (o *operation) aggregate(m *metric, mem aggregate.Memory, e attributeEdit, where func(p []byte) bool) error {
	if m.data == otlpfield.MetricSummary {
		return &unsupportedError{fmt.Sprintf("%s cannot be applied to the summary %q", o.Action, m.name)}
	}
	err := m.setPoints(mem, func(p []byte) ([]byte, error) {
		if where != nil && !where(p) {
			return p, nil
		}
		return e.apply(p, m.attributes, mem)
	})
	if err != nil {
		return err
	}
	return m.join(o.function, m.points, mem)
}

// join replaces the points of a metric by those that result from joining points.
func (m *metric) join(f aggregate.Func, points [][]byte, mem aggregate.Memory) (err error) {
	m.points, err = aggregate.Points(m.data, m.delta(), f, points, mem)
	m.changed = true
	return err
}

func isNumber(data uint32) bool {
	return data == otlpfield.MetricGauge || data == otlpfield.MetricSum
}
