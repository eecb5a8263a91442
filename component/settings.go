package component

import (
	"log/slog"

	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Settings are the arguments of every component in addition to its
// configuration. The zero value works: it logs and measures nothing.
type Settings struct {
	// ID is the component's id in the configuration: "otlp/2".
	ID string
	// Signal is that of the pipeline that a processor is created for, or that a connector
	// consumes. The zero Signal means any.
	Signal otlp.Signal
	Logger *slog.Logger
	Tracer trace.TracerProvider
	Meter  metric.MeterProvider
	// MetricsLevel is how much is to be measured.
	MetricsLevel Level
	// Memory is the process's budget of bytes in flight. Receivers acquire
	// bytes from it before they read them. nil means no limit.
	Memory *admission.Budget
	// Extension looks up a started extension by its id in the configuration,
	// for components that name one (auth.authenticator). nil means that there
	// are none.
	Extension func(id string) (any, bool)
	// Host is the service that runs the component, for extensions that show its
	// state. nil means that there is none.
	Host Host
}

// OrDefaults returns the settings with every missing field set to an
// implementation that does nothing.
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
