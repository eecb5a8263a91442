package metricstransformprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	d := component.OfProcessor("metrics_transform", component.Stability{otlp.Metrics: "Alpha"}, DefaultConfig, New)
	d.Aliases = []string{"metricstransform"}
	return d
}
