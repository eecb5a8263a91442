package selfobs

import (
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the section service.telemetry: what penstock tells about
// itself. Its keys are the Collector's.
type Config struct {
	Logs     LogsConfig     `yaml:"logs"`
	Metrics  MetricsConfig  `yaml:"metrics"`
	Traces   TracesConfig   `yaml:"traces"`
	Resource ResourceConfig `yaml:"resource"`
}

func DefaultConfig() Config {
	return Config{
		Logs:    LogsConfig{OutputPaths: []string{"stderr"}},
		Metrics: MetricsConfig{Level: "normal", Readers: []ReaderConfig{{Pull: defaultPull()}}},
		Traces:  TracesConfig{Level: "none"},
	}
}

// accepted is a key of the Collector that says nothing here yet. A warning tells.
type accepted struct{ value config.Value }

// DecodeConfig implements config.Decoder.
func (a *accepted) DecodeConfig(v config.Value) error {
	a.value = v
	return nil
}

// IsZero keeps it out of print-config where the configuration has none.
func (a accepted) IsZero() bool { return a.value == nil }

// MarshalYAML shows that the key is there. What it says may be secret.
func (accepted) MarshalYAML() (any, error) { return struct{}{}, nil }

// idle says that the key would have an effect in the Collector.
func (a accepted) idle() bool {
	if a.value == nil || config.IsDisabled(a.value) {
		return false
	}
	for range a.value.Values() {
		return true
	}
	return false
}

// TracesConfig is accepted. Spans of penstock itself go nowhere yet.
type TracesConfig struct {
	Level       string   `yaml:"level"`
	Propagators accepted `yaml:"propagators,omitempty"`
	Processors  accepted `yaml:"processors,omitempty"`
	Sampler     accepted `yaml:"sampler,omitempty"`
	Limits      accepted `yaml:"limits,omitempty"`
}

// Validate checks the section "traces".
func (c *TracesConfig) Validate() error {
	c.Level = strings.ToLower(c.Level)
	if !slices.Contains([]string{"none", "basic", "normal", "detailed"}, c.Level) {
		return config.Atf("level", "expected none or basic, found %q", c.Level)
	}
	return nil
}

// Ineffective lists the keys that were written and have no effect yet.
func (c *Config) Ineffective() []config.Value {
	all := []accepted{
		c.Logs.ErrorOutputPaths, c.Logs.Sampling, c.Logs.Processors, c.Metrics.Views,
		c.Traces.Propagators, c.Traces.Processors, c.Traces.Sampler, c.Traces.Limits, c.Resource.detectors,
	}
	for _, r := range c.Metrics.Readers {
		all = append(all, r.Periodic, r.Producers)
	}
	var values []config.Value
	for _, a := range all {
		if a.idle() {
			values = append(values, a.value)
		}
	}
	return values
}
