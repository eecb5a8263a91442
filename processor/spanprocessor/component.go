package spanprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("span", component.Stability{otlp.Traces: "Alpha"}, DefaultConfig, New)
}
