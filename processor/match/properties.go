package match

import (
	"errors"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// Properties are what an item must have to match, with the Collector's keys. Which of
// them an item can have depends on its signal.
type Properties struct {
	// MatchType is strict, for equal texts, or regexp, for patterns (RE2) of which a part
	// of the text must match.
	MatchType string `yaml:"match_type"`
	// Regexp has no effect: results are not cached.
	Regexp *Cache `yaml:"regexp"`

	Services          []string    `yaml:"services"`   // service.name of the resource
	SpanNames         []string    `yaml:"span_names"` // spans only
	SpanKinds         []string    `yaml:"span_kinds"` // SPAN_KIND_SERVER and so on
	LogBodies         []string    `yaml:"log_bodies"`
	LogSeverityTexts  []string    `yaml:"log_severity_texts"`
	LogSeverityNumber *Severities `yaml:"log_severity_number"`
	MetricNames       []string    `yaml:"metric_names"`
	Attributes        []Attribute `yaml:"attributes"` // of the item
	Resources         []Attribute `yaml:"resources"`  // of its resource
	Libraries         []Library   `yaml:"libraries"`  // its scope
}

// Cache has the Collector's options of a cache of results.
type Cache struct {
	Enabled    bool `yaml:"cacheenabled"`
	MaxEntries int  `yaml:"cachemaxnumentries"`
}

// Validate checks the options.
func (c *Cache) Validate() error {
	if c.Enabled && c.MaxEntries < 0 {
		return config.Atf("cachemaxnumentries", "expected 0 or more, found %d", c.MaxEntries)
	}
	return nil
}

// Severities are the severity numbers that match.
type Severities struct {
	// Min is the lowest severity that matches.
	Min Severity `yaml:"min"`
	// MatchUndefined includes log records without a severity number.
	MatchUndefined bool `yaml:"match_undefined"`
}

// Severity is a severity number. In a configuration it is a number, or a name such as
// INFO or WARN2.
type Severity int32

// UnmarshalText reads a number or a name.
func (s *Severity) UnmarshalText(text []byte) error {
	if n, err := strconv.ParseInt(string(text), 10, 32); err == nil {
		*s = Severity(n)
		return nil
	}
	name := strings.TrimPrefix(strings.ToUpper(string(text)), "SEVERITY_NUMBER_")
	digits := strings.TrimLeft(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	for i, known := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		if strings.TrimSuffix(name, digits) != known {
			continue
		}
		if at := strings.Index("1234", digits); len(digits) <= 1 && digits != "1" && at >= 0 {
			*s = Severity(4*i + 1 + at)
			return nil
		}
	}
	return errors.New("expected a severity number, or a name such as INFO or WARN2")
}

// Attribute is an attribute that must be there.
type Attribute struct {
	Key string `yaml:"key"`
	// Value is what its value must be; nil: any value. With regexp it is a pattern, and a
	// value that is a list, a map, bytes or empty does not match.
	Value any `yaml:"value"`
}

// Validate checks that there is a key.
func (a *Attribute) Validate() error {
	if a.Key == "" {
		return config.Atf("key", "expected the key of an attribute, found none")
	}
	_, err := attrs.EncodeValue(a.Value)
	return config.At("value", err)
}

// Library is a scope by its name and version.
type Library struct {
	Name string `yaml:"name"`
	// Version must match too; nil: any version, and none.
	Version *string `yaml:"version"`
}

// Validate checks what does not depend on the signal.
func (p *Properties) Validate() error {
	_, err := p.compile(ruleOf{})
	return err
}

// validateAttributes checks what the decoder of a configuration checks by itself.
func (p *Properties) validateAttributes() error {
	var errs []error
	for i := range p.Attributes {
		errs = append(errs, config.At("attributes", p.Attributes[i].Validate()))
	}
	for i := range p.Resources {
		errs = append(errs, config.At("resources", p.Resources[i].Validate()))
	}
	return errors.Join(errs...)
}

// ruleOf has what differs by signal.
type ruleOf struct {
	items  string // in the plural, for errors
	fields itemFields
	// refused names the properties that these items do not have, needed those of which
	// one at least is there.
	refused, needed []string
	// onlyNames says that properties without metric_names are ignored, as in the
	// Collector.
	onlyNames bool
}

var rules = map[otlp.Signal]*ruleOf{
	otlp.Traces: {
		items: "spans", fields: spanFields,
		refused: []string{"log_bodies", "log_severity_texts", "log_severity_number", "metric_names"},
		needed:  []string{"services", "span_names", "span_kinds", "attributes", "resources", "libraries"},
	},
	otlp.Metrics: {
		items: "metrics", fields: metricFields, onlyNames: true,
		refused: []string{"services", "span_names", "span_kinds", "log_bodies", "log_severity_texts", "log_severity_number", "attributes", "libraries"},
		needed:  []string{"metric_names", "resources"},
	},
	otlp.Logs: {
		items: "log records", fields: logFields,
		refused: []string{"services", "span_names", "span_kinds", "metric_names"},
		needed:  []string{"log_bodies", "log_severity_texts", "log_severity_number", "attributes", "resources", "libraries"},
	},
	otlp.Profiles: {
		items:   "profiles",
		refused: []string{"span_names", "span_kinds", "log_bodies", "log_severity_texts", "log_severity_number", "metric_names", "attributes"},
		needed:  []string{"services", "resources", "libraries"},
	},
}

// has reports which properties are set.
func (p *Properties) has() map[string]bool {
	return map[string]bool{
		"services": len(p.Services) > 0, "span_names": len(p.SpanNames) > 0, "span_kinds": len(p.SpanKinds) > 0,
		"log_bodies": len(p.LogBodies) > 0, "log_severity_texts": len(p.LogSeverityTexts) > 0, "log_severity_number": p.LogSeverityNumber != nil,
		"metric_names": len(p.MetricNames) > 0, "attributes": len(p.Attributes) > 0, "resources": len(p.Resources) > 0, "libraries": len(p.Libraries) > 0,
	}
}

// validateFor checks the properties for the items of one signal.
func (p *Properties) validateFor(r *ruleOf) error {
	var errs config.Errors
	has := p.has()
	for _, key := range r.refused {
		if has[key] {
			errs.Add(config.Atf(key, "%s have no such property, expected one or more of %s", r.items, strings.Join(r.needed, ", ")))
		}
	}
	if errs.Err() != nil {
		return errs.Err()
	}
	for _, key := range r.needed {
		if has[key] {
			return nil
		}
	}
	return errors.New("expected one or more of " + strings.Join(r.needed, ", ") + ", found none")
}
