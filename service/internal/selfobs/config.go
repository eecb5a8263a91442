package selfobs

import (
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Config is the section service.telemetry: penstock's own logs, metrics and
// resource. Its keys are the Collector's.
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
		Traces:  TracesConfig{Level: "basic"},
	}
}

// ignoredKey is a key of the Collector that is accepted and has no effect yet.
// A warning names it.
type ignoredKey struct{ value config.Value }

// DecodeConfig implements config.Decoder.
func (a *ignoredKey) DecodeConfig(v config.Value) error {
	a.value = v
	return nil
}

// IsZero leaves the key out of print-config if the configuration does not
// contain it.
func (a ignoredKey) IsZero() bool { return a.value == nil }

// MarshalYAML shows that the key is present. It hides the value, which may be
// secret.
func (ignoredKey) MarshalYAML() (any, error) { return struct{}{}, nil }

// isSet reports whether the key has a value that would have an effect in the
// Collector.
func (a ignoredKey) isSet() bool {
	if a.value == nil || config.IsDisabled(a.value) {
		return false
	}
	for range a.value.Values() {
		return true
	}
	return false
}

// TracesConfig sends the spans of requests as OTLP.
type TracesConfig struct {
	// Level is none, or any other for all spans.
	Level      string            `yaml:"level"`
	Processors []ProcessorConfig `yaml:"processors,omitempty"`
	// Sampler is by default parent_based with always_on.
	Sampler     *SamplerConfig `yaml:"sampler,omitempty"`
	Propagators ignoredKey     `yaml:"propagators,omitempty"`
	Limits      ignoredKey     `yaml:"limits,omitempty"`
}

// Validate checks the section "traces".
func (c *TracesConfig) Validate() error {
	c.Level = strings.ToLower(c.Level)
	if !slices.Contains([]string{"none", "basic", "normal", "detailed"}, c.Level) {
		return config.Atf("level", "expected none or basic, found %q", c.Level)
	}
	return nil
}

// Effective returns c without the keys that have no effect, so that two configurations
// can be compared.
func (c Config) Effective() Config {
	c.Logs.ErrorOutputPaths, c.Metrics.Views, c.Resource.detectors = ignoredKey{}, ignoredKey{}, ignoredKey{}
	c.Traces.Propagators, c.Traces.Limits = ignoredKey{}, ignoredKey{}
	c.Metrics.Readers = slices.Clone(c.Metrics.Readers)
	for i := range c.Metrics.Readers {
		c.Metrics.Readers[i].Producers = ignoredKey{}
	}
	return c
}

// Ineffective returns the values of the keys that the configuration contains
// and that have no effect yet.
func (c *Config) Ineffective() []config.Value {
	all := []ignoredKey{
		c.Logs.ErrorOutputPaths, c.Metrics.Views,
		c.Traces.Propagators, c.Traces.Limits, c.Resource.detectors,
	}
	for _, r := range c.Metrics.Readers {
		all = append(all, r.Producers)
	}
	var values []config.Value
	for _, a := range all {
		if a.isSet() {
			values = append(values, a.value)
		}
	}
	return values
}
