package countconnector

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/ottl/functions"
)

// Config is the connector's configuration, with the Collector's keys: metrics by their
// names. A section that is empty counts everything, in one metric.
type Config struct {
	Spans      map[string]Metric `yaml:"spans"`
	SpanEvents map[string]Metric `yaml:"spanevents"`
	Metrics    map[string]Metric `yaml:"metrics"`
	DataPoints map[string]Metric `yaml:"datapoints"`
	Logs       map[string]Metric `yaml:"logs"`
	Profiles   map[string]Metric `yaml:"profiles"`
}

// Metric is what a metric counts.
type Metric struct {
	Description string `yaml:"description"`
	// Conditions, of which one must hold if there are any.
	Conditions []string    `yaml:"conditions"`
	Attributes []Attribute `yaml:"attributes"`
}

// Attribute is an attribute by which is counted.
type Attribute struct {
	Key string `yaml:"key"`
	// DefaultValue is that of items without the attribute. If it is nil, these are not
	// counted.
	DefaultValue any `yaml:"default_value"`
}

// DefaultConfig returns the configuration of an empty section, which counts everything.
func DefaultConfig() Config { return Config{} }

// Validate checks the key and the default.
func (a *Attribute) Validate() error {
	var errs []error
	if a.Key == "" {
		errs = append(errs, config.Atf("key", "expected the key of an attribute"))
	}
	if _, err := valueOf(a.DefaultValue); err != nil {
		errs = append(errs, config.At("default_value", err))
	}
	return errors.Join(errs...)
}

// kind is one kind of what is counted.
type kind struct {
	key     string // of the configuration
	signal  otlp.Signal
	context string
	isPart  bool // of an item
	// times are the fields of times, of 8 bytes.
	times             []uint32
	name, description string // of the metric of an empty section
	of                func(*Config) map[string]Metric
}

var kinds = [...]kind{
	{"spans", otlp.Traces, "span", false, []uint32{otlpfield.SpanStartTimeUnixNano, otlpfield.SpanEndTimeUnixNano},
		"trace.span.count", "The number of spans observed.", func(c *Config) map[string]Metric { return c.Spans }},
	{"spanevents", otlp.Traces, "spanevent", true, []uint32{otlpfield.SpanEventTimeUnixNano},
		"trace.span.event.count", "The number of span events observed.", func(c *Config) map[string]Metric { return c.SpanEvents }},
	{"metrics", otlp.Metrics, "metric", false, nil,
		"metric.count", "The number of metrics observed.", func(c *Config) map[string]Metric { return c.Metrics }},
	{"datapoints", otlp.Metrics, "datapoint", true, []uint32{otlpfield.NumberDataPointTimeUnixNano},
		"metric.datapoint.count", "The number of data points observed.", func(c *Config) map[string]Metric { return c.DataPoints }},
	{"logs", otlp.Logs, "log", false, []uint32{otlpfield.LogRecordTimeUnixNano},
		"log.record.count", "The number of log records observed.", func(c *Config) map[string]Metric { return c.Logs }},
	{"profiles", otlp.Profiles, "profile", false, []uint32{otlpfield.ProfileTimeUnixNano},
		"profile.count", "The number of profiles observed.", func(c *Config) map[string]Metric { return c.Profiles }},
}

// Validate compiles all conditions.
func (c *Config) Validate() error {
	var errs []error
	for i := range kinds {
		_, err := kinds[i].compile(c)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// metric is a compiled Metric.
type metric struct {
	name, description string
	conditions        []*ottl.Condition
	attributes        []attribute
}

type attribute struct {
	key        string
	otherwise  ottl.Value
	hasDefault bool
}

// compile returns the metrics of a kind, in the order of their names.
func (k *kind) compile(c *Config) (all []metric, err error) {
	configured := k.of(c)
	if len(configured) == 0 {
		return []metric{{name: k.name, description: k.description}}, nil
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(configured)) {
		m := configured[name]
		compiled, err := k.metric(name, &m)
		errs = append(errs, statements.Within(k.key+"."+name, err))
		all = append(all, compiled)
	}
	return all, errors.Join(errs...)
}

func (k *kind) metric(name string, m *Metric) (out metric, err error) {
	out.name, out.description = name, m.Description
	var errs []error
	switch {
	case name == "":
		errs = append(errs, errors.New("expected the name of a metric"))
	case k.context == "metric" && len(m.Attributes) > 0:
		errs = append(errs, config.Atf("attributes", "metrics have no attributes: count datapoints by attributes"))
	}
	p := ottl.NewParser(ottl.ContextOf(k.context), functions.Standard(), functions.Conditions())
	for i, text := range m.Conditions {
		c, err := p.Condition(text)
		errs = append(errs, config.At(fmt.Sprintf("conditions[%d]", i), err))
		out.conditions = append(out.conditions, c)
	}
	for _, a := range m.Attributes {
		v, _ := valueOf(a.DefaultValue) // its error is that of Attribute.Validate
		out.attributes = append(out.attributes, attribute{a.Key, v, a.DefaultValue != nil})
	}
	return out, errors.Join(errs...)
}

// valueOf returns the value of an attribute that a configuration has.
func valueOf(v any) (ottl.Value, error) {
	switch v := v.(type) {
	case nil:
		return ottl.Value{}, nil
	case string:
		return ottl.OfString(v), nil
	case bool:
		return ottl.OfBool(v), nil
	case int:
		return ottl.OfInt(int64(v)), nil
	case int64:
		return ottl.OfInt(v), nil
	case float64:
		return ottl.OfDouble(v), nil
	case []any:
		return listOf(v)
	case map[string]any:
		return mapOf(v)
	}
	return ottl.Value{}, fmt.Errorf("expected a value that an attribute can have, found %v (%[1]T)", v)
}

func listOf(list []any) (ottl.Value, error) {
	var b ottl.ListBuilder
	for _, x := range list {
		v, err := valueOf(x)
		if err != nil {
			return v, err
		}
		b.Add(v)
	}
	return b.Value(), nil
}

func mapOf(m map[string]any) (ottl.Value, error) {
	var b ottl.MapBuilder
	for _, key := range slices.Sorted(maps.Keys(m)) {
		v, err := valueOf(m[key])
		if err != nil {
			return v, err
		}
		b.Add([]byte(key), v)
	}
	return b.Value(), nil
}
