package attributesprocessor

import "github.com/penstock-telemetry/penstock/component"

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("attributes", component.AllSignals("Alpha"), DefaultConfig, New)
}
