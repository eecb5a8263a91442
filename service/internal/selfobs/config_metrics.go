package selfobs

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// MetricsConfig configures which metrics penstock records of itself and where
// they are served.
type MetricsConfig struct {
	// Level is none, basic, normal or detailed. Each records what the Collector does, and
	// normal adds the requests of receivers and the attempts of exporters. Detailed adds
	// the durations and sizes of requests, their format, the causes of failures, and the
	// durations of processors, for which it runs them one by one instead of several in one
	// pass.
	Level string `yaml:"level"`
	// Address is the Collector's older key for one Prometheus endpoint. It
	// replaces the default reader.
	Address string         `yaml:"address,omitempty"`
	Readers []ReaderConfig `yaml:"readers,omitempty"`
	Views   ignoredKey     `yaml:"views,omitempty"`
}

// Validate checks the section "metrics".
func (c *MetricsConfig) Validate() error {
	var errs []error
	c.Level = strings.ToLower(c.Level)
	if !slices.Contains([]string{"none", "basic", "normal", "detailed"}, c.Level) {
		errs = append(errs, config.Atf("level", "expected none, basic, normal or detailed, found %q", c.Level))
	}
	if len(c.Readers) == 0 && c.Level != "none" {
		errs = append(errs, config.Atf("readers", "expected at least one, or level: none"))
	}
	if c.Address != "" {
		if _, _, err := splitHostPort(c.Address); err != nil {
			errs = append(errs, config.At("address", err))
		}
	}
	return errors.Join(errs...)
}

func splitHostPort(address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	if err != nil || port < 0 || port > 65535 {
		return "", 0, fmt.Errorf("expected host:port such as localhost:8888, found %q", address)
	}
	return host, port, nil
}

// ReaderConfig is one way to export metrics: pull is a Prometheus endpoint, periodic
// sends OTLP.
type ReaderConfig struct {
	Pull      *PullConfig     `yaml:"pull,omitempty"`
	Periodic  *PeriodicConfig `yaml:"periodic,omitempty"`
	Producers ignoredKey      `yaml:"producers,omitempty"`
}

// Validate checks one of "readers".
func (c *ReaderConfig) Validate() error {
	if (c.Pull == nil) == (c.Periodic == nil) {
		return errors.New("expected one of pull and periodic")
	}
	return nil
}

type PullConfig struct {
	Exporter struct {
		Prometheus PrometheusConfig `yaml:"prometheus"`
	} `yaml:"exporter"`
}

func defaultPull() *PullConfig {
	p := &PullConfig{}
	p.Exporter.Prometheus.SetDefaults()
	return p
}

// SetDefaults implements config.Defaulter.
func (c *PullConfig) SetDefaults() { *c = *defaultPull() }

// PrometheusConfig is an endpoint for /metrics. The three Without flags are on
// by default. They give metrics the names that the Collector's dashboards use:
// otelcol_receiver_accepted_spans, without _total.
type PrometheusConfig struct {
	Host              string `yaml:"host"`
	Port              int    `yaml:"port"`
	WithoutScopeInfo  bool   `yaml:"without_scope_info"`
	WithoutTypeSuffix bool   `yaml:"without_type_suffix"`
	WithoutUnits      bool   `yaml:"without_units"`
	// WithResourceConstantLabels puts attributes of the resource on every series.
	WithResourceConstantLabels *IncludeExclude `yaml:"with_resource_constant_labels,omitempty"`
}

// IncludeExclude selects names; * stands for any text.
type IncludeExclude struct {
	Included []string `yaml:"included,omitempty"`
	Excluded []string `yaml:"excluded,omitempty"`
}

// SetDefaults implements config.Defaulter.
func (c *PrometheusConfig) SetDefaults() {
	*c = PrometheusConfig{Host: "localhost", Port: 8888, WithoutScopeInfo: true, WithoutTypeSuffix: true, WithoutUnits: true}
}

// Validate checks the section "prometheus".
func (c *PrometheusConfig) Validate() error {
	if c.Port < 0 || c.Port > 65535 {
		return config.Atf("port", "expected 0 to 65535, found %d", c.Port)
	}
	return nil
}

// HostPort returns the address to listen on.
func (c *PrometheusConfig) HostPort() string {
	host := strings.TrimSuffix(strings.TrimPrefix(c.Host, "["), "]")
	return net.JoinHostPort(host, strconv.Itoa(c.Port))
}

// UseAddress replaces the older key Address by an equivalent reader. It reports
// whether Address was set and valid.
func (c *MetricsConfig) UseAddress() bool {
	host, port, err := splitHostPort(c.Address)
	if err != nil {
		return false
	}
	pull := defaultPull()
	pull.Exporter.Prometheus.Host, pull.Exporter.Prometheus.Port = host, port
	c.Readers, c.Address = []ReaderConfig{{Pull: pull}}, ""
	return true
}
