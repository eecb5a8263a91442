package otlpexporter

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the exporter to a service.
func Component() component.Descriptor {
	d := component.OfExporter("otlp", component.AllSignals("Alpha"), DefaultConfig, New)
	d.Aliases = []string{"otlp_grpc"}
	return d
}
