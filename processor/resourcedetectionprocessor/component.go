package resourcedetectionprocessor

import "github.com/penstock-telemetry/penstock/component"

// Component describes the processor to a service.
func Component() component.Descriptor {
	d := component.OfProcessor("resource_detection", component.AllSignals("Alpha"), DefaultConfig, New)
	d.Aliases = []string{"resourcedetection"}
	return d
}
