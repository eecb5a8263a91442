package resourceprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.OfProcessor("resource", component.AllSignals("Alpha"), DefaultConfig, New)
}
