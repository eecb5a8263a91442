package resourceprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	d := component.Descriptor{
		Kind: component.KindProcessor, Type: "resource", Stability: component.AllSignals("Alpha"), DefaultConfig: func() any {
			c := DefaultConfig()
			return &c
		},
	}
	d.ConsumerProcessor = func(config any, set component.Settings, next pipeline.Consumer) (component.Exporter, error) {
		return New(*config.(*Config), set, next)
	}
	return d
}
