package debugexporter

import (
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// The older keys mean what they meant in the Collector.
func TestLoggingConfig(t *testing.T) {
	t.Parallel()
	for yaml, want := range map[string]Verbosity{
		"{}":                    Normal,
		"{loglevel: debug}":     Detailed,
		"{logLevel: DEBUG}":     Detailed,
		"{loglevel: info}":      Normal,
		"{loglevel: warn}":      Basic,
		"{loglevel: error}":     Basic,
		"{verbosity: detailed}": Detailed,
	} {
		cfg := DefaultLoggingConfig()
		if err := testkit.Decode(t, yaml, &cfg); err != nil || cfg.Verbosity != want {
			t.Errorf("%s: %v, %v, want %s", yaml, cfg.Verbosity, err, want)
		}
		if e, err := LoggingComponent().Exporter(&cfg, component.Settings{}); err != nil || e.(*Exporter) == nil {
			t.Errorf("%s: %v", yaml, err)
		}
	}
}
