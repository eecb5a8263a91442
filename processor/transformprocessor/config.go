package transformprocessor

import (
	"errors"
	"github.com/penstock-telemetry/penstock/ottl"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Config is the processor's configuration, with the Collector's keys.
type Config struct {
	// ErrorMode is what is done about an error for an item: ignore (log it and go on, the
	// default), silent, or propagate (refuse the request).
	ErrorMode ottl.ErrorMode `yaml:"error_mode"`
	// The statements, by signal.
	TraceStatements   []Group `yaml:"trace_statements"`
	MetricStatements  []Group `yaml:"metric_statements"`
	LogStatements     []Group `yaml:"log_statements"`
	ProfileStatements []Group `yaml:"profile_statements"`
	// FlattenData is not supported: it must be false.
	FlattenData bool `yaml:"flatten_data"`
}

// Group is statements that are done together to each item of a context. In a
// configuration it is also a statement alone.
type Group struct {
	Context    string         `yaml:"context"`
	ErrorMode  ottl.ErrorMode `yaml:"error_mode"`
	Conditions []string       `yaml:"conditions"`
	Statements []string       `yaml:"statements"`
	// SharedCache is not supported: it must be false.
	SharedCache bool `yaml:"shared_cache"`

	flat bool  // it was written as a statement alone
	from []int // of statements that were: their indices in the list
}

// DecodeConfig implements config.Decoder.
func (g *Group) DecodeConfig(v config.Value) error {
	if v.Kind() == config.String {
		g.flat = true
		g.Statements = []string{v.Text()}
		return nil
	}
	type plain Group
	return v.Decode((*plain)(g))
}

// MarshalYAML implements yaml.Marshaler.
func (g Group) MarshalYAML() (any, error) {
	if g.flat {
		return g.Statements[0], nil
	}
	type plain Group
	return plain(g), nil
}

// DefaultConfig returns the configuration of an empty section, which does nothing.
func DefaultConfig() Config { return Config{ErrorMode: ottl.Ignore} }

// list returns the statements of a signal and their key.
func (c *Config) list(s otlp.Signal) (key string, groups []Group) {
	key = strings.TrimSuffix(s.String(), "s") + "_statements"
	return key, map[string][]Group{
		"trace_statements":   c.TraceStatements,
		"metric_statements":  c.MetricStatements,
		"log_statements":     c.LogStatements,
		"profile_statements": c.ProfileStatements,
	}[key]
}

// Validate compiles all statements.
func (c *Config) Validate() error {
	var errs []error
	if c.FlattenData {
		errs = append(errs, config.Atf("flatten_data", "flatten_data is not supported"))
	}
	for _, s := range otlp.Signals() {
		_, err := c.steps(s, nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
