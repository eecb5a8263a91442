package metricstransformprocessor

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/version"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// transform is a Transform made ready.
type transform struct {
	action     string
	include    string         // the name, if pattern is nil
	pattern    *regexp.Regexp // over names
	labels     []labelMatcher
	newName    string
	newLabels  []string // of combine: the keys of the groups of pattern, from 1
	changeCase func(string) string
	function   aggregate.Func
	resource   []label // group_resource_labels
	operations []operation
}

// labelMatcher is an entry of experimental_match_labels.
type labelMatcher struct {
	key     []byte
	value   []byte
	pattern *regexp.Regexp // nil: value
}

// label is an attribute whose value is an AnyValue.
type label struct {
	key   string
	value []byte
}

// operation is an Operation made ready.
type operation struct {
	Operation
	label    []byte
	newLabel []byte
	values   map[string][]byte // new values, AnyValues
	newValue []byte            // an AnyValue
	function aggregate.Func
}

func compile(c *Config) (all []*transform, err error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	for i := range c.Transforms {
		t, err := compileTransform(&c.Transforms[i])
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func compileTransform(c *Transform) (*transform, error) {
	t := &transform{action: c.Action, include: c.Include, newName: c.NewName, function: aggregate.Func(c.AggregationType), changeCase: strings.Clone}
	switch c.SubmatchCase {
	case "lower":
		t.changeCase = strings.ToLower
	case "upper":
		t.changeCase = strings.ToUpper
	}
	var err error
	if c.MatchType == matchRegexp {
		if t.pattern, err = regexp.Compile(c.Include); err != nil {
			return nil, err
		}
		for i, name := range t.pattern.SubexpNames()[1:] {
			if name == "" {
				name = "$" + strconv.Itoa(i+1)
			}
			t.newLabels = append(t.newLabels, name)
		}
	}
	for key, value := range c.MatchLabels {
		m := labelMatcher{key: []byte(key), value: []byte(value)}
		if c.MatchType == matchRegexp {
			if m.pattern, err = regexp.Compile(value); err != nil {
				return nil, err
			}
		}
		t.labels = append(t.labels, m)
	}
	for key, value := range c.GroupResourceLabels {
		t.resource = append(t.resource, label{key, textValue(value)})
	}
	slices.SortFunc(t.resource, func(a, b label) int { return strings.Compare(a.key, b.key) })
	for _, o := range c.Operations {
		t.operations = append(t.operations, compileOperation(o))
	}
	return t, nil
}

func compileOperation(o Operation) operation {
	versioned := func(text string) []byte { return textValue(strings.ReplaceAll(text, "{{version}}", version.Get())) }
	c := operation{Operation: o, label: []byte(o.Label), newLabel: []byte(o.NewLabel), newValue: versioned(o.NewValue), values: map[string][]byte{}, function: aggregate.Func(o.AggregationType)}
	for _, v := range o.ValueActions {
		c.values[v.Value] = versioned(v.NewValue)
	}
	return c
}

// textValue returns an AnyValue that is a text.
func textValue(text string) []byte {
	return wire.AppendBytes(nil, otlpfield.AnyValueStringValue, text)
}

// matchesName reports whether the metric has the right name.
func (t *transform) matchesName(name []byte) bool {
	if t.pattern == nil {
		return string(name) == t.include
	}
	return t.pattern.Match(name)
}

// matchesPoint reports whether a data point has the right attributes, which are in field
// num.
func (t *transform) matchesPoint(point []byte, num uint32) bool {
	for i := range t.labels {
		l := &t.labels[i]
		value, _ := attribute(point, num, l.key)
		text := textOf(value)
		if l.pattern != nil && !l.pattern.Match(text) || l.pattern == nil && !bytes.Equal(text, l.value) {
			return false
		}
	}
	return true
}

// matches reports whether the metric has the right name and a data point with the right
// attributes, or none at all.
func (t *transform) matches(m *metric) bool {
	if !t.matchesName(m.name) {
		return false
	}
	if len(t.labels) == 0 || len(m.points) == 0 {
		return true
	}
	return slices.ContainsFunc(m.points, func(p []byte) bool { return t.matchesPoint(p, m.attributes) })
}

// matchesAll reports whether all data points have the right attributes.
func (t *transform) matchesAll(m *metric) bool {
	return len(t.labels) == 0 || !slices.ContainsFunc(m.points, func(p []byte) bool { return !t.matchesPoint(p, m.attributes) })
}

// attribute returns the value of the first attribute with a key, an AnyValue.
func attribute(point []byte, num uint32, key []byte) (value []byte, ok bool) {
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes {
			if f := otlp.KeyValue(c.Bytes).Decode(); bytes.Equal(f.Key, key) {
				return f.Value, true
			}
		}
	}
	return nil, false
}

// textOf returns the text of a value; empty for one that is not a text.
func textOf(value []byte) []byte {
	if v := otlp.AnyValue(value).Resolve(nil); v.Kind() == otlp.KindString {
		return v.Text()
	}
	return nil
}

// nameOf returns the new name of a metric.
func (t *transform) nameOf(name []byte) []byte {
	if t.pattern != nil {
		if at := t.pattern.FindSubmatchIndex(name); at != nil {
			if expanded := t.pattern.Expand(nil, []byte(t.newName), name, at); len(expanded) > 0 {
				return expanded
			}
		}
	}
	return []byte(t.newName)
}
