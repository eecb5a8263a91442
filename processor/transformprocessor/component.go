package transformprocessor

import "github.com/penstock-telemetry/penstock/component"

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("transform", component.AllSignals("Beta"), DefaultConfig, New)
}
