package debugexporter

import (
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
)

// LoggingConfig is the configuration of the Collector's former exporter "logging", which
// became "debug".
type LoggingConfig struct {
	Config `yaml:",inline"`
	// LogLevel is the older key for the verbosity: debug is detailed, info normal, others
	// basic. The Collector accepted both spellings.
	LogLevel      string `yaml:"loglevel,omitempty"`
	LogLevelCamel string `yaml:"logLevel,omitempty"`
}

// DefaultLoggingConfig returns the former defaults.
func DefaultLoggingConfig() LoggingConfig {
	c := LoggingConfig{Config: DefaultConfig()}
	c.Verbosity = Normal
	return c
}

// Validate checks the configuration, and translates the older key.
func (c *LoggingConfig) Validate() error {
	switch level := strings.ToLower(c.LogLevel + c.LogLevelCamel); level {
	case "":
	case "debug":
		c.Verbosity = Detailed
	case "info":
		c.Verbosity = Normal
	case "warn", "warning", "error":
		c.Verbosity = Basic
	default:
		return config.Atf("loglevel", "expected debug, info, warn or error, found %q", level)
	}
	c.LogLevel, c.LogLevelCamel = "", ""
	return c.Config.Validate()
}

// Warnings says that the exporter has another name.
func (c *LoggingConfig) Warnings() []string {
	return append([]string{`the exporter "logging" is called "debug" now; it runs as that. Rename it, and loglevel to verbosity`}, c.Config.Warnings()...)
}

// LoggingComponent describes the exporter by its former name.
func LoggingComponent() component.Descriptor {
	return component.OfExporter("logging", component.AllSignals("Deprecated"), DefaultLoggingConfig,
		func(c LoggingConfig, set component.Settings) (*Exporter, error) { return New(c.Config, set) })
}
