package nopexporter

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the exporter to a service.
func Component() component.Descriptor {
	return component.OfExporter("nop", component.AllSignals("Alpha"), DefaultConfig, New)
}
