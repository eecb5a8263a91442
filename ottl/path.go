package ottl

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Context is what statements and conditions are about: one kind of item, and the messages
// around it.
type Context struct {
	name   string
	signal otlp.Signal // 0: of all
	level  int
	around []string // the contexts that paths may name
	fields map[string]field
}

// Name returns the name, as in a configuration: "log", "datapoint".
func (c *Context) Name() string { return c.name }

// Signal returns the signal of the items, 0 for resources and scopes, which all have.
func (c *Context) Signal() otlp.Signal { return c.signal }

// field is one path of a context.
type field struct {
	access access
	nums   [variants]uint32 // in the message; of data points by variant, 0: it has none
}

func at(num uint32, a access) field { return field{a, [variants]uint32{num, num, num, num}} }

func points(a access, number, histogram, exponential, summary uint32) field {
	return field{a, [variants]uint32{number, histogram, exponential, summary}}
}

// Contexts by name.
var contexts = map[string]*Context{
	"resource": {name: "resource", level: levelResource, fields: map[string]field{
		"attributes":               at(otlpfield.ResourceAttributes, attributes),
		"dropped_attributes_count": at(otlpfield.ResourceDroppedAttributesCount, uint32Number),
		"schema_url":               at(0, schemaURL(levelResource)),
	}},
	"scope": {name: "scope", level: levelScope, around: []string{"resource"}, fields: scopeFields},
	"span": {name: "span", signal: otlp.Traces, level: levelItem, around: []string{"resource", "scope"}, fields: map[string]field{
		"trace_id":                 at(otlpfield.SpanTraceID, traceID),
		"trace_id.string":          at(otlpfield.SpanTraceID, traceIDText),
		"span_id":                  at(otlpfield.SpanSpanID, spanID),
		"span_id.string":           at(otlpfield.SpanSpanID, spanIDText),
		"parent_span_id":           at(otlpfield.SpanParentSpanID, spanID),
		"parent_span_id.string":    at(otlpfield.SpanParentSpanID, spanIDText),
		"trace_state":              at(otlpfield.SpanTraceState, traceState),
		"name":                     at(otlpfield.SpanName, text),
		"kind":                     at(otlpfield.SpanKind, int32Number),
		"kind.string":              at(otlpfield.SpanKind, names("span kind", "Unspecified", "Internal", "Server", "Client", "Producer", "Consumer")),
		"kind.deprecated_string":   at(otlpfield.SpanKind, names("span kind", "SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER", "SPAN_KIND_CONSUMER")),
		"start_time_unix_nano":     at(otlpfield.SpanStartTimeUnixNano, fixedNumber),
		"end_time_unix_nano":       at(otlpfield.SpanEndTimeUnixNano, fixedNumber),
		"start_time":               at(otlpfield.SpanStartTimeUnixNano, fixedTime),
		"end_time":                 at(otlpfield.SpanEndTimeUnixNano, fixedTime),
		"attributes":               at(otlpfield.SpanAttributes, attributes),
		"dropped_attributes_count": at(otlpfield.SpanDroppedAttributesCount, uint32Number),
		"events":                   at(otlpfield.SpanEvents, messages),
		"dropped_events_count":     at(otlpfield.SpanDroppedEventsCount, uint32Number),
		"links":                    at(otlpfield.SpanLinks, messages),
		"dropped_links_count":      at(otlpfield.SpanDroppedLinksCount, uint32Number),
		"status":                   at(otlpfield.SpanStatus, messages),
		"status.code":              at(otlpfield.SpanStatus, inside(otlpfield.StatusCode, int32Number)),
		"status.message":           at(otlpfield.SpanStatus, inside(otlpfield.StatusMessage, text)),
		"flags":                    at(otlpfield.SpanFlags, spanFlags),
	}},
	"spanevent": {name: "spanevent", signal: otlp.Traces, level: levelPart, around: []string{"resource", "scope", "span"}, fields: map[string]field{
		"time_unix_nano":           at(otlpfield.SpanEventTimeUnixNano, fixedNumber),
		"time":                     at(otlpfield.SpanEventTimeUnixNano, fixedTime),
		"name":                     at(otlpfield.SpanEventName, text),
		"attributes":               at(otlpfield.SpanEventAttributes, attributes),
		"dropped_attributes_count": at(otlpfield.SpanEventDroppedAttributesCount, uint32Number),
		"event_index":              at(0, partNumber),
	}},
	"metric": {name: "metric", signal: otlp.Metrics, level: levelItem, around: []string{"resource", "scope"}, fields: map[string]field{
		"name":        at(otlpfield.MetricName, text),
		"description": at(otlpfield.MetricDescription, text),
		"unit":        at(otlpfield.MetricUnit, text),
		"type":        at(otlpfield.MetricName, metricType),
		"aggregation_temporality": at(0, ofData(otlpfield.SumAggregationTemporality, int32Number, KindInt,
			otlpfield.MetricSum, otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram)),
		"is_monotonic": at(0, ofData(otlpfield.SumIsMonotonic, boolean, KindBool, otlpfield.MetricSum)),
		"data_points":  at(0, counted(dataPoints)),
		"metadata":     at(otlpfield.MetricMetadata, attributes),
	}},
	"datapoint": {name: "datapoint", signal: otlp.Metrics, level: levelPart, around: []string{"resource", "scope", "metric"}, fields: map[string]field{
		"attributes":           points(attributes, 7, 9, 1, 7),
		"start_time_unix_nano": at(otlpfield.NumberDataPointStartTimeUnixNano, fixedNumber),
		"time_unix_nano":       at(otlpfield.NumberDataPointTimeUnixNano, fixedNumber),
		"start_time":           at(otlpfield.NumberDataPointStartTimeUnixNano, fixedTime),
		"time":                 at(otlpfield.NumberDataPointTimeUnixNano, fixedTime),
		"value_double":         points(oneOf(double, otlpfield.NumberDataPointAsInt), otlpfield.NumberDataPointAsDouble, 0, 0, 0),
		"value_int":            points(oneOf(fixedNumber, otlpfield.NumberDataPointAsDouble), otlpfield.NumberDataPointAsInt, 0, 0, 0),
		"exemplars":            points(messages, otlpfield.NumberDataPointExemplars, otlpfield.HistogramDataPointExemplars, otlpfield.ExponentialHistogramDataPointExemplars, 0),
		"flags":                points(uint32Number, otlpfield.NumberDataPointFlags, otlpfield.HistogramDataPointFlags, otlpfield.ExponentialHistogramDataPointFlags, otlpfield.SummaryDataPointFlags),
		"count":                points(fixedNumber, 0, otlpfield.HistogramDataPointCount, otlpfield.ExponentialHistogramDataPointCount, otlpfield.SummaryDataPointCount),
		"sum":                  points(double, 0, otlpfield.HistogramDataPointSum, otlpfield.ExponentialHistogramDataPointSum, otlpfield.SummaryDataPointSum),
		"bucket_counts":        points(packed(fixedNumbers), 0, otlpfield.HistogramDataPointBucketCounts, 0, 0),
		"explicit_bounds":      points(packed(doubles), 0, otlpfield.HistogramDataPointExplicitBounds, 0, 0),
		"scale":                points(zigzagNumber, 0, 0, otlpfield.ExponentialHistogramDataPointScale, 0),
		"zero_count":           points(fixedNumber, 0, 0, otlpfield.ExponentialHistogramDataPointZeroCount, 0),
		"positive":             points(messages, 0, 0, otlpfield.ExponentialHistogramDataPointPositive, 0),
		"positive.offset":      points(inside(otlpfield.ExponentialHistogramDataPointBucketsOffset, zigzagNumber), 0, 0, otlpfield.ExponentialHistogramDataPointPositive, 0),
		"positive.bucket_counts": points(inside(otlpfield.ExponentialHistogramDataPointBucketsBucketCounts, packed(varints)), 0, 0,
			otlpfield.ExponentialHistogramDataPointPositive, 0),
		"negative":        points(messages, 0, 0, otlpfield.ExponentialHistogramDataPointNegative, 0),
		"negative.offset": points(inside(otlpfield.ExponentialHistogramDataPointBucketsOffset, zigzagNumber), 0, 0, otlpfield.ExponentialHistogramDataPointNegative, 0),
		"negative.bucket_counts": points(inside(otlpfield.ExponentialHistogramDataPointBucketsBucketCounts, packed(varints)), 0, 0,
			otlpfield.ExponentialHistogramDataPointNegative, 0),
		"quantile_values": points(messages, 0, 0, 0, otlpfield.SummaryDataPointQuantileValues),
	}},
	"log": {name: "log", signal: otlp.Logs, level: levelItem, around: []string{"resource", "scope"}, fields: map[string]field{
		"time_unix_nano":           at(otlpfield.LogRecordTimeUnixNano, fixedNumber),
		"observed_time_unix_nano":  at(otlpfield.LogRecordObservedTimeUnixNano, fixedNumber),
		"time":                     at(otlpfield.LogRecordTimeUnixNano, fixedTime),
		"observed_time":            at(otlpfield.LogRecordObservedTimeUnixNano, fixedTime),
		"severity_number":          at(otlpfield.LogRecordSeverityNumber, int32Number),
		"severity_text":            at(otlpfield.LogRecordSeverityText, text),
		"body":                     at(otlpfield.LogRecordBody, body),
		"body.string":              at(otlpfield.LogRecordBody, bodyText),
		"attributes":               at(otlpfield.LogRecordAttributes, attributes),
		"dropped_attributes_count": at(otlpfield.LogRecordDroppedAttributesCount, uint32Number),
		"flags":                    at(otlpfield.LogRecordFlags, fixed32Bits),
		"trace_id":                 at(otlpfield.LogRecordTraceID, traceID),
		"trace_id.string":          at(otlpfield.LogRecordTraceID, traceIDText),
		"span_id":                  at(otlpfield.LogRecordSpanID, spanID),
		"span_id.string":           at(otlpfield.LogRecordSpanID, spanIDText),
		"event_name":               at(otlpfield.LogRecordEventName, text),
	}},
	"profile": {name: "profile", signal: otlp.Profiles, level: levelItem, around: []string{"resource", "scope"}, fields: map[string]field{
		"sample":                   at(otlpfield.ProfileSamples, counted(messages)),
		"sample_type":              at(otlpfield.ProfileSampleType, messages),
		"period_type":              at(otlpfield.ProfilePeriodType, messages),
		"sample_type.type":         at(otlpfield.ProfileSampleType, inside(otlpfield.ValueTypeTypeStrindex, dictionaryText)),
		"sample_type.unit":         at(otlpfield.ProfileSampleType, inside(otlpfield.ValueTypeUnitStrindex, dictionaryText)),
		"period_type.type":         at(otlpfield.ProfilePeriodType, inside(otlpfield.ValueTypeTypeStrindex, dictionaryText)),
		"period_type.unit":         at(otlpfield.ProfilePeriodType, inside(otlpfield.ValueTypeUnitStrindex, dictionaryText)),
		"time_unix_nano":           at(otlpfield.ProfileTimeUnixNano, fixedNumber),
		"time":                     at(otlpfield.ProfileTimeUnixNano, fixedTime),
		"duration_unix_nano":       at(otlpfield.ProfileDurationNano, int64Number),
		"duration":                 at(otlpfield.ProfileDurationNano, int64Number),
		"period":                   at(otlpfield.ProfilePeriod, int64Number),
		"profile_id":               at(otlpfield.ProfileProfileID, profileID),
		"profile_id.string":        at(otlpfield.ProfileProfileID, traceIDText),
		"dropped_attributes_count": at(otlpfield.ProfileDroppedAttributesCount, uint32Number),
		"original_payload_format":  at(otlpfield.ProfileOriginalPayloadFormat, text),
		"attribute_indices":        at(otlpfield.ProfileAttributeIndices, attributeIndices()),
		"attributes":               at(otlpfield.ProfileAttributeIndices, referred),
	}},
	"profilesample": {name: "profilesample", signal: otlp.Profiles, level: levelPart, around: []string{"resource", "scope", "profile"}, fields: map[string]field{
		"values":               at(otlpfield.SampleValues, packed(varints)),
		"attribute_indices":    at(otlpfield.SampleAttributeIndices, attributeIndices()),
		"link_index":           at(otlpfield.SampleLinkIndex, readOnly(int32Number)),
		"timestamps_unix_nano": at(otlpfield.SampleTimestampsUnixNano, packed(fixedNumbers)),
		"attributes":           at(otlpfield.SampleAttributeIndices, referred),
	}},
}

var scopeFields = map[string]field{
	"name":                     at(otlpfield.InstrumentationScopeName, text),
	"version":                  at(otlpfield.InstrumentationScopeVersion, text),
	"attributes":               at(otlpfield.InstrumentationScopeAttributes, attributes),
	"dropped_attributes_count": at(otlpfield.InstrumentationScopeDroppedAttributesCount, uint32Number),
	"schema_url":               at(0, schemaURL(levelScope)),
}

// aliases are other names of contexts.
var aliases = map[string]string{"instrumentation_scope": "scope", "sample": "profilesample"}

// ContextOf returns the context of a name, also of an older one; nil if there is none.
func ContextOf(name string) *Context {
	if canonical, ok := aliases[name]; ok {
		name = canonical
	}
	return contexts[name]
}

// path is a compiled path.
type path struct {
	get Getter
	set func(e *Env, v Value) error // nil: it cannot be set
	// list returns the list of attributes that the path is, nil for other paths.
	list func(e *Env) *Map
	// keyed is, of list["name"] with one constant key, that key.
	keyed  string
	level  int
	counts bool // see access
	isList bool // the path is a list without keys
}

var errNotSettable = errors.New("set a path that can only be read")

// find returns the context and the rest of the names of a path.
func (c *Context) find(p *syntax.Path) (in *Context, rest []syntax.Segment) {
	first := p.Segments[0].Name
	if canonical, ok := aliases[first]; ok && first != "sample" {
		first = canonical
	}
	if len(p.Segments) > 1 && len(p.Segments[0].Keys) == 0 {
		if first == c.name || slices.Contains(c.around, first) {
			return contexts[first], p.Segments[1:]
		}
	}
	return c, p.Segments
}

// compilePath compiles a path of context c.
func (c *compiler) path(p *syntax.Path) (*path, error) {
	if p.Segments[0].Name == "otelcol" && len(p.Segments) > 1 {
		return c.clientPath(p)
	}
	in, rest := c.ctx.find(p)
	if rest[0].Name == "cache" {
		if in != c.ctx {
			return nil, c.errorf(p.Pos, "the cache is that of the context %s, write %s.cache", c.ctx.name, c.ctx.name)
		}
		return c.attributePath(p, rest, levelCache, func(e *Env) *Map { return &e.cache })
	}
	name := rest[0].Name
	for _, s := range rest[1:] {
		name += "." + s.Name
	}
	f, ok := in.fields[name]
	if !ok {
		return nil, c.unknownPath(in, p, name)
	}
	c.reads(in.level)
	if f.access.attrs {
		level := in.level
		return c.attributePath(p, rest, level, func(e *Env) *Map {
			m := e.message(level)
			m.scan()
			return &m.attrs
		})
	}
	for _, s := range rest[:len(rest)-1] {
		if len(s.Keys) > 0 {
			return nil, c.errorf(s.Keys[0].Pos, "%s takes no keys", s.Name)
		}
	}
	keys, err := c.keys(rest[len(rest)-1].Keys)
	if err != nil {
		return nil, err
	}
	if len(keys) > 0 {
		return c.keyedField(p, in, f, keys)
	}
	return c.plainField(in, f), nil
}

// levelCache is where the cache is.
const levelCache = -1

// plainField is a field without keys.
func (c *compiler) plainField(in *Context, f field) *path {
	level, nums, get, set := in.level, f.nums, f.access.get, f.access.set
	out := &path{level: level, counts: f.access.counts, get: func(e *Env) (Value, error) {
		m := e.message(level)
		num := nums[m.shape.variant]
		if num == 0 && nums[numberPoint]|nums[histogramPoint]|nums[exponentialPoint]|nums[summaryPoint] != 0 {
			return Value{}, nil
		}
		return get(m, num)
	}}
	if set == nil || f.access.own && in != c.ctx {
		return out
	}
	out.set = func(e *Env, v Value) error {
		m := e.message(level)
		num := nums[m.shape.variant]
		if num == 0 && nums[numberPoint]|nums[histogramPoint]|nums[exponentialPoint]|nums[summaryPoint] != 0 {
			return fmt.Errorf("a data point of this type has no such field")
		}
		return set(m, num, v)
	}
	return out
}

// keyedField is a field with keys.
func (c *compiler) keyedField(p *syntax.Path, in *Context, f field, keys []key) (*path, error) {
	if f.access.index == nil {
		return nil, c.errorf(p.Pos, "%s takes no keys", pathText(p))
	}
	level, num, index, place := in.level, f.nums[0], f.access.index, f.access.place
	return &path{level: level,
		get: func(e *Env) (Value, error) { return index(e.message(level), num, keys) },
		set: func(e *Env, v Value) error { return place(e.message(level), num, keys, v) },
	}, nil
}

// attributePath is a list of attributes, with or without keys.
func (c *compiler) attributePath(p *syntax.Path, rest []syntax.Segment, level int, list func(*Env) *Map) (*path, error) {
	if len(rest) > 1 {
		return nil, c.errorf(rest[1].Pos, "%s has no part %q, keys stand between brackets: %s[%q]", rest[0].Name, rest[1].Name, rest[0].Name, rest[1].Name)
	}
	keys, err := c.keys(rest[0].Keys)
	if err != nil {
		return nil, err
	}
	out := &path{level: level, list: list}
	switch {
	case len(keys) == 0:
		out.isList = true
		out.get = func(e *Env) (Value, error) { return list(e).value(&e.scratch), nil }
		out.set = func(e *Env, v Value) error { return list(e).replace(v) }
	case len(keys) == 1 && keys[0].kind == KindString:
		name := keys[0].text
		out.keyed = name
		out.get = func(e *Env) (Value, error) { return list(e).Get(name), nil }
		out.set = func(e *Env, v Value) error { return list(e).put(name, v) }
	default:
		out.get = func(e *Env) (Value, error) { return list(e).indexed(keys) }
		out.set = func(e *Env, v Value) error { return list(e).place(keys, v) }
	}
	return out, nil
}

// put sets the value of a key, which may not be a time or an id.
func (m *Map) put(name string, v Value) error {
	if err := storable(v); err != nil {
		if m.Find(name) < 0 {
			m.Put(name, Value{})
		}
		return err
	}
	m.Put(name, v)
	return nil
}

// storable returns an error for a value that an AnyValue has no type for.
func storable(v Value) error {
	if v.kind >= KindTime {
		return &TypeError{"a value that an attribute can have", v.kind}
	}
	return nil
}

// replace makes the entries of v those of the map.
func (m *Map) replace(v Value) error {
	if v.kind != KindMap && v.kind != KindNil {
		return &TypeError{"a map", v.kind}
	}
	if !m.env.fits(v, bodyDepth) {
		return nil
	}
	fields := m.arena.copy(v.bytes)
	m.Clear()
	for c := (wire.Cursor{Buf: fields}); c.Next(); {
		if c.Num == otlpfield.KeyValueListValues && c.Type == wire.TypeBytes {
			m.read(c.Bytes, -1, -1)
		}
	}
	m.changed = true
	return nil
}

// indexed returns what keys name.
func (m *Map) indexed(keys []key) (Value, error) {
	name, err := keys[0].name(m.env)
	if err != nil {
		return Value{}, err
	}
	i := m.Find(name)
	if i < 0 {
		return Value{}, nil
	}
	return m.env.index(m.Value(i), keys[1:])
}

// place sets what keys name.
func (m *Map) place(keys []key, v Value) error {
	name, err := keys[0].name(m.env)
	if err != nil {
		return err
	}
	bad := storable(v)
	if bad != nil {
		v = Value{} // what the keys name is made, and stays empty
	}
	i := m.Find(name)
	var old []byte
	if i >= 0 {
		old = m.entries[i].value
	}
	now, err := m.env.placed(m.arena, old, keys[1:], v)
	if err != nil || !m.env.fitsAny(now, attributeDepth) {
		return err
	}
	if i < 0 {
		m.Add(name, Value{})
		i = len(m.entries) - 1
	}
	m.entries[i].value, m.entries[i].state, m.changed = now, entrySet, true
	return bad
}

func (c *compiler) keys(list []syntax.Key) (keys []key, err error) {
	for _, k := range list {
		x, err := c.expr(k.Value)
		if err != nil {
			return nil, err
		}
		switch {
		case x.constant && x.value.kind == KindString:
			keys = append(keys, key{kind: KindString, text: string(x.value.bytes)})
		case x.constant && x.value.kind == KindInt:
			keys = append(keys, key{kind: KindInt, index: x.value.Int()})
		case x.constant:
			return nil, c.errorf(k.Pos, "expected a string or an integer as key, found %s", x.value.kind)
		default:
			keys = append(keys, key{expr: x.get})
		}
	}
	return keys, nil
}

// unknownPath is the error of a path that a context does not have.
func (c *compiler) unknownPath(in *Context, p *syntax.Path, name string) error {
	known := make([]string, 0, len(in.fields))
	for n := range in.fields {
		known = append(known, n)
	}
	slices.Sort(known)
	if guess := suggest.Nearest(name, known); guess != "" {
		return c.errorf(p.Pos, "context %s has no path %q, did you mean %q?", in.name, name, guess)
	}
	return c.errorf(p.Pos, "context %s has no path %q, expected one of %s", in.name, name, strings.Join(known, ", "))
}

func pathText(p *syntax.Path) string {
	var names []string
	for _, s := range p.Segments {
		names = append(names, s.Name)
	}
	return strings.Join(names, ".")
}
