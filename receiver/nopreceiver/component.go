package nopreceiver

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the receiver to a service.
func Component() component.Descriptor {
	return component.OfReceiver("nop", component.AllSignals("Alpha"), DefaultConfig, New)
}
