package service

import (
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// telemetryConfig is the section service.telemetry: what penstock tells about
// itself. Its keys are the Collector's.
type telemetryConfig struct {
	Logs     logsConfig     `yaml:"logs"`
	Metrics  metricsConfig  `yaml:"metrics"`
	Traces   tracesConfig   `yaml:"traces"`
	Resource resourceConfig `yaml:"resource"`
}

func defaultTelemetry() telemetryConfig {
	return telemetryConfig{
		Logs:    logsConfig{OutputPaths: []string{"stderr"}},
		Metrics: metricsConfig{Level: "normal", Readers: []readerConfig{{Pull: defaultPull()}}},
		Traces:  tracesConfig{Level: "none"},
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

// tracesConfig is accepted. Spans of penstock itself go nowhere yet.
type tracesConfig struct {
	Level       string   `yaml:"level"`
	Propagators accepted `yaml:"propagators,omitempty"`
	Processors  accepted `yaml:"processors,omitempty"`
	Sampler     accepted `yaml:"sampler,omitempty"`
	Limits      accepted `yaml:"limits,omitempty"`
}

// Validate checks the section "traces".
func (c *tracesConfig) Validate() error {
	c.Level = strings.ToLower(c.Level)
	if !slices.Contains([]string{"none", "basic", "normal", "detailed"}, c.Level) {
		return config.Atf("level", "expected none or basic, found %q", c.Level)
	}
	return nil
}

// telemetry reads the section service.telemetry.
func (l *loader) telemetry(n *conf.Node) {
	t := defaultTelemetry()
	var sections struct {
		Logs     *conf.Node `yaml:"logs"`
		Metrics  *conf.Node `yaml:"metrics"`
		Traces   *conf.Node `yaml:"traces"`
		Resource *conf.Node `yaml:"resource"`
	}
	l.problems.Add(n.Decode(&sections)) // one by one, so that each is checked even if another is wrong
	l.problems.Add(sections.Logs.Decode(&t.Logs))
	l.problems.Add(sections.Metrics.Decode(&t.Metrics))
	l.problems.Add(sections.Traces.Decode(&t.Traces))
	l.problems.Add(sections.Resource.Decode(&t.Resource))
	if address := n.Get("metrics", "address"); address != nil && t.Metrics.Address != "" {
		if readers := n.Get("metrics", "readers"); readers.Len() > 0 {
			l.problems.Add(address.KeyErrorf("expected address or readers, found both (readers at %s)", readers.KeyPos()))
		} else if host, port, err := splitHostPort(t.Metrics.Address); err == nil {
			pull := defaultPull()
			pull.Exporter.Prometheus.Host, pull.Exporter.Prometheus.Port = host, port
			t.Metrics.Readers, t.Metrics.Address = []readerConfig{{Pull: pull}}, "" // it is said once
		}
	}
	l.cfg.telemetry = t
	for _, a := range t.accepted() {
		if a.idle() {
			l.warnAt(a.value, "has no effect yet in this release")
		}
	}
	if t.Metrics.Level == "none" {
		return
	}
	for i := range t.Metrics.Readers {
		if pull := t.Metrics.Readers[i].Pull; pull != nil {
			l.cfg.listeners = append(l.cfg.listeners, metricsListener(n, i, pull.Exporter.Prometheus.address()))
		}
	}
}

// metricsListener finds where the address of a reader was written.
func metricsListener(n *conf.Node, reader int, address string) listener {
	if at := n.Get("metrics", "address"); at != nil {
		return listener{"tcp", address, at.Path(), at}
	}
	for i, r := range n.Get("metrics", "readers").Children() {
		if i == reader {
			return listenerAt(r, "tcp", address, "pull", "exporter", "prometheus", "port")
		}
	}
	return listener{"tcp", address, "service.telemetry.metrics.readers", nil}
}

// accepted lists the keys that do nothing.
func (c *telemetryConfig) accepted() []accepted {
	all := []accepted{
		c.Logs.ErrorOutputPaths, c.Logs.Sampling, c.Logs.Processors, c.Metrics.Views,
		c.Traces.Propagators, c.Traces.Processors, c.Traces.Sampler, c.Traces.Limits, c.Resource.detectors,
	}
	for _, r := range c.Metrics.Readers {
		all = append(all, r.Periodic, r.Producers)
	}
	return all
}
