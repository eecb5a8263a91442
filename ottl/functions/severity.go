package functions

import (
	"slices"

	"github.com/penstock-telemetry/penstock/ottl"
)

var parseSeverity = ottl.Function{Name: "ParseSeverity", Params: ottl.P("target", "mapping"), Pure: true, Convert: func(a *ottl.Args) (ottl.Getter, error) {
	target, err := a.Value(0)
	if err != nil {
		return nil, err
	}
	mapping, ok := a.Constant(1)
	if !ok || mapping.Kind() != ottl.KindMap {
		return nil, a.Errorf(1, "expected a map of literals")
	}
	levels, err := severityLevels(mapping)
	if err != nil {
		return nil, a.Errorf(1, "%w", err)
	}
	return func(e *env) (value, error) {
		v, err := target(e)
		if err == nil && v.Kind() != ottl.KindString && v.Kind() != ottl.KindInt {
			err = unsupported(v, "string or int")
		}
		if err != nil {
			return value{}, err
		}
		for _, l := range levels {
			if slices.ContainsFunc(l.criteria, func(c criterion) bool { return c.matches(v) }) {
				return l.name, nil
			}
		}
		return value{}, errorf("no severity of the mapping has the value %.100s", e.Text(v).Bytes())
	}, nil
}}

// severityLevel is a level of a mapping.
type severityLevel struct {
	name     value
	criteria []criterion
}

// criterion is a list of texts, a range of numbers, or both.
type criterion struct {
	texts    []string
	hasRange bool
	min, max int64
}

func (c *criterion) matches(v value) bool {
	if v.Kind() == ottl.KindInt {
		return c.hasRange && v.Int() >= c.min && v.Int() <= c.max
	}
	return slices.ContainsFunc(c.texts, func(t string) bool { return t == string(v.Bytes()) })
}

// severityRanges are the ranges that have a name: the classes of HTTP statuses.
var severityRanges = map[string][2]int64{"2xx": {200, 299}, "3xx": {300, 399}, "4xx": {400, 499}, "5xx": {500, 599}}

func severityLevels(mapping value) (levels []severityLevel, err error) {
	e := ottl.NewEnv()
	for name, list := range e.Pairs(mapping) {
		if list.Kind() != ottl.KindList {
			return nil, errorf("level %s: %w", name, unsupported(list, "list"))
		}
		l := severityLevel{name: ottl.OfText(name)}
		for item := range e.Items(list) {
			c, err := newCriterion(e, item)
			if err != nil {
				return nil, errorf("level %s: %w", name, err)
			}
			l.criteria = append(l.criteria, c)
		}
		levels = append(levels, l)
	}
	return levels, nil
}

func newCriterion(e *env, item value) (c criterion, err error) {
	if item.Kind() != ottl.KindMap {
		return c, unsupported(item, "map")
	}
	for key, v := range e.Pairs(item) {
		switch string(key) {
		case "equals":
			if v.Kind() != ottl.KindList {
				return c, errorf("equals: %w", unsupported(v, "list"))
			}
			for text := range e.Items(v) {
				if text.Kind() != ottl.KindString {
					return c, errorf("equals: %w", unsupported(text, "string"))
				}
				c.texts = append(c.texts, string(text.Bytes()))
			}
		case "range":
			if err := c.setRange(e, v); err != nil {
				return c, errorf("range: %w", err)
			}
		}
	}
	return c, nil
}

func (c *criterion) setRange(e *env, v value) error {
	c.hasRange = true
	if v.Kind() == ottl.KindString {
		named, ok := severityRanges[string(v.Bytes())]
		if !ok {
			return errorf("%.100q is not one of 2xx, 3xx, 4xx, 5xx", v.Bytes())
		}
		c.min, c.max = named[0], named[1]
		return nil
	}
	if v.Kind() != ottl.KindMap {
		return unsupported(v, "map or string")
	}
	var found [2]bool
	for key, bound := range e.Pairs(v) {
		i := slices.Index([]string{"min", "max"}, string(key))
		if i < 0 {
			continue
		}
		if bound.Kind() != ottl.KindInt {
			return errorf("%s: %w", key, unsupported(bound, "int"))
		}
		found[i] = true
		*[]*int64{&c.min, &c.max}[i] = bound.Int()
	}
	if !found[0] || !found[1] {
		return errorf("expected min and max")
	}
	return nil
}
