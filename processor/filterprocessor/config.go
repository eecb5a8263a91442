package filterprocessor

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// ErrorMode is what is done about an error for an item: ignore (log it and go on, the
	// default), silent, or propagate (refuse the request).
	ErrorMode ottl.ErrorMode `yaml:"error_mode"`

	Traces   Traces   `yaml:"traces"`
	Metrics  Metrics  `yaml:"metrics"`
	Logs     Logs     `yaml:"logs"`
	Profiles Profiles `yaml:"profiles"`
	// Spans is the older style of Traces.
	Spans Spans `yaml:"spans"`

	// The conditions by signal, each of a context that its paths or a key name.
	TraceConditions   []Conditions `yaml:"trace_conditions"`
	MetricConditions  []Conditions `yaml:"metric_conditions"`
	LogConditions     []Conditions `yaml:"log_conditions"`
	ProfileConditions []Conditions `yaml:"profile_conditions"`
}

// Traces are conditions on spans.
type Traces struct {
	Resource  []string `yaml:"resource"`
	Span      []string `yaml:"span"`
	SpanEvent []string `yaml:"spanevent"`
}

// Metrics are conditions on metrics, or in the older style what they must have.
type Metrics struct {
	Resource  []string `yaml:"resource"`
	Metric    []string `yaml:"metric"`
	DataPoint []string `yaml:"datapoint"`

	Include *MetricProperties `yaml:"include"`
	Exclude *MetricProperties `yaml:"exclude"`
	// Regexp has no effect: results are not cached.
	Regexp *match.Cache `yaml:"regexp"`
}

// Logs are conditions on log records, or in the older style what they must have.
type Logs struct {
	Resource  []string `yaml:"resource"`
	LogRecord []string `yaml:"log_record"`

	Include *LogProperties `yaml:"include"`
	Exclude *LogProperties `yaml:"exclude"`
}

// Profiles are conditions on profiles.
type Profiles struct {
	Resource []string `yaml:"resource"`
	Profile  []string `yaml:"profile"`
}

// Spans are what spans must have and must not have.
type Spans struct {
	Include *match.Properties `yaml:"include"`
	Exclude *match.Properties `yaml:"exclude"`
}

// MetricProperties are names of metrics and attributes of resources.
type MetricProperties struct {
	// MatchType is strict or regexp; the Collector's expr is not supported.
	MatchType          string            `yaml:"match_type"`
	Regexp             *match.Cache      `yaml:"regexp"`
	MetricNames        []string          `yaml:"metric_names"`
	Expressions        []string          `yaml:"expressions"`
	ResourceAttributes []match.Attribute `yaml:"resource_attributes"`
}

// Validate checks that the language of conditions is known.
func (p *MetricProperties) Validate() error {
	if p.MatchType == "expr" || len(p.Expressions) > 0 {
		return config.Atf("match_type", "the expressions of match_type expr are not supported: write conditions of OTTL, such as metric_conditions: ['metric.name == \"x\" and datapoint.attributes[\"k\"] == \"v\"']")
	}
	return nil
}

// LogProperties are properties of log records.
type LogProperties struct {
	MatchType          string            `yaml:"match_type"`
	ResourceAttributes []match.Attribute `yaml:"resource_attributes"`
	RecordAttributes   []match.Attribute `yaml:"record_attributes"`
	SeverityTexts      []string          `yaml:"severity_texts"`
	SeverityNumber     *match.Severities `yaml:"severity_number"`
	Bodies             []string          `yaml:"bodies"`
}

// properties returns p as package match has it, nil if it is empty.
func (p *LogProperties) properties() *match.Properties {
	if p == nil || len(p.ResourceAttributes)+len(p.RecordAttributes)+len(p.SeverityTexts)+len(p.Bodies) == 0 && p.SeverityNumber == nil {
		return nil
	}
	return &match.Properties{MatchType: p.MatchType, Resources: p.ResourceAttributes, Attributes: p.RecordAttributes,
		LogSeverityTexts: p.SeverityTexts, LogBodies: p.Bodies, LogSeverityNumber: p.SeverityNumber}
}

// names returns what p says of the names of metrics, nil if that is empty.
func (p *MetricProperties) names() *match.Properties {
	if p == nil || len(p.MetricNames) == 0 {
		return nil
	}
	return &match.Properties{MatchType: p.MatchType, MetricNames: p.MetricNames}
}

// resources returns what p says of resources, nil if that is empty.
func (p *MetricProperties) resources() *match.Properties {
	if p == nil || len(p.ResourceAttributes) == 0 {
		return nil
	}
	return &match.Properties{MatchType: p.MatchType, Resources: p.ResourceAttributes}
}

// Conditions are conditions of one context, of which one must hold. In a configuration it
// is also a condition alone.
type Conditions struct {
	Context    string         `yaml:"context"`
	ErrorMode  ottl.ErrorMode `yaml:"error_mode"`
	Conditions []string       `yaml:"conditions"`

	flat bool // it was written as a condition alone
}

// DecodeConfig implements config.Decoder.
func (c *Conditions) DecodeConfig(v config.Value) error {
	if v.Kind() == config.String {
		c.flat = true
		c.Conditions = []string{v.Text()}
		return nil
	}
	type plain Conditions
	return v.Decode((*plain)(c))
}

// MarshalYAML implements yaml.Marshaler.
func (c Conditions) MarshalYAML() (any, error) {
	if c.flat {
		return c.Conditions[0], nil
	}
	type plain Conditions
	return plain(c), nil
}

// DefaultConfig returns the configuration of an empty section, which drops nothing.
func DefaultConfig() Config { return Config{ErrorMode: ottl.Ignore} }

// level is the conditions of one level of a signal.
type level struct {
	key        string
	context    string
	conditions []string
}

// bySignal is what is configured for one signal.
type bySignal struct {
	key    string  // of levels
	levels []level // outermost first
	inner  string  // key of groups
	groups []Conditions
	older  string                 // key of rules
	rules  [][2]*match.Properties // include and exclude; all must select an item
}

// of returns what is configured for a signal.
func (c *Config) of(s otlp.Signal) bySignal {
	m, l := &c.Metrics, &c.Logs
	return map[string]bySignal{
		"traces": {"traces", []level{{"resource", "resource", c.Traces.Resource}, {"span", "span", c.Traces.Span}, {"spanevent", "spanevent", c.Traces.SpanEvent}},
			"trace_conditions", c.TraceConditions, "spans", [][2]*match.Properties{{c.Spans.Include, c.Spans.Exclude}}},
		"metrics": {"metrics", []level{{"resource", "resource", m.Resource}, {"metric", "metric", m.Metric}, {"datapoint", "datapoint", m.DataPoint}},
			"metric_conditions", c.MetricConditions, "metrics",
			[][2]*match.Properties{{m.Include.resources(), m.Exclude.resources()}, {m.Include.names(), m.Exclude.names()}}},
		"logs": {"logs", []level{{"resource", "resource", l.Resource}, {"log_record", "log", l.LogRecord}},
			"log_conditions", c.LogConditions, "logs", [][2]*match.Properties{{l.Include.properties(), l.Exclude.properties()}}},
		"profiles": {"profiles", []level{{"resource", "resource", c.Profiles.Resource}, {"profile", "profile", c.Profiles.Profile}},
			"profile_conditions", c.ProfileConditions, "", nil},
	}[s.String()]
}

// Validate compiles all conditions.
func (c *Config) Validate() error {
	var errs []error
	for _, s := range otlp.Signals() {
		_, err := c.plans(s, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// steps compiles the conditions of a signal.
func (b *bySignal) steps(s otlp.Signal, mode ottl.ErrorMode, report func(error)) (steps []ottl.Step, err error) {
	var errs []error
	hasLevels := false
	for _, l := range b.levels {
		if len(l.conditions) == 0 {
			continue
		}
		hasLevels = true
		step := ottl.Step{Context: ottl.ContextOf(l.context), Drop: true, Mode: mode, Report: report, Client: statements.ClientOf}
		step.Conditions, err = compile(step.Context, l.conditions)
		errs = append(errs, statements.Within(b.key+"."+l.key, err))
		steps = append(steps, step)
	}
	if hasLevels && len(b.groups) > 0 {
		errs = append(errs, config.Atf(b.inner, "%s and the conditions of %s cannot be used together", b.inner, b.key))
	}
	for i, g := range b.groups {
		step, err := g.step(s, mode)
		errs = append(errs, statements.Within(fmt.Sprintf("%s[%d]", b.inner, i), err))
		step.Report, step.Client = report, statements.ClientOf
		steps = append(steps, step)
	}
	return steps, errors.Join(errs...)
}

// step compiles conditions of a context.
func (c *Conditions) step(s otlp.Signal, mode ottl.ErrorMode) (step ottl.Step, err error) {
	step.Drop = true
	step.Mode = cmp.Or(c.ErrorMode, mode)
	if step.Context, err = statements.Context(s, c.Context, parser, nil, c.Conditions); err != nil {
		return step, err
	}
	step.Conditions, err = compile(step.Context, c.Conditions)
	if c.flat {
		return step, err
	}
	return step, statements.Within("conditions", err)
}

func compile(c *ottl.Context, list []string) (out []*ottl.Condition, err error) {
	p := parser(c)
	var errs []error
	for i, text := range list {
		cond, err := p.Condition(text)
		errs = append(errs, config.At(fmt.Sprintf("[%d]", i), err))
		out = append(out, cond)
	}
	return out, errors.Join(errs...)
}

// checkStyles returns an error if both styles are used for a signal.
func (b *bySignal) checkStyles() error {
	for _, r := range b.rules {
		if r[0] == nil && r[1] == nil {
			continue
		}
		if len(b.groups) > 0 {
			return config.Atf(b.inner, "%s and include and exclude of %s cannot be used together", b.inner, b.older)
		}
		for _, l := range b.levels {
			if len(l.conditions) > 0 {
				return config.Atf(b.key+"."+l.key, "the conditions of %s and include and exclude of %s cannot be used together", b.key, strings.TrimSpace(b.older))
			}
		}
	}
	return nil
}
