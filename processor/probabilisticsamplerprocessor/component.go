package probabilisticsamplerprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("probabilistic_sampler", component.Stability{otlp.Traces: "Alpha", otlp.Logs: "Alpha"}, DefaultConfig, New)
}
