package filterprocessor

import "github.com/penstock-telemetry/penstock/component"

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("filter", component.AllSignals("Beta"), DefaultConfig, New)
}
