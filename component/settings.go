package component

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/admission"
)

// Settings is what every component is given beside its configuration. The zero
// value works: it is silent and measures nothing.
type Settings struct {
	// ID is the component's id in the configuration: "otlp/2".
	ID     string
	Logger *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// MetricsLevel is how much is to be measured.
	MetricsLevel Level
	// Memory is the process's budget of bytes in flight, from which receivers
	// take before they read; nil is no bound.
	Memory *admission.Budget
	// Extension finds a started extension by its id in the configuration, for
	// components that name one (auth.authenticator); nil: there are none.
	Extension func(id string) (any, bool)
	// Host is the service that runs the component, for extensions that show it;
	// nil: there is none.
	Host Host
}

// OrDefaults returns the settings with every missing part filled in by one that
// does nothing.
func (s Settings) OrDefaults() Settings {
	if s.Logger == nil {
		s.Logger = slog.New(slog.DiscardHandler)
	}
	if s.Tracer == nil {
		s.Tracer = tracenoop.NewTracerProvider()
	}
	if s.Meter == nil {
		s.Meter = metricnoop.NewMeterProvider()
	}
	if s.Extension == nil {
		s.Extension = func(string) (any, bool) { return nil, false }
	}
	return s
}
