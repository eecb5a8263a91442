package batchprocessor

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Component describes the processor to a service.
func Component() component.Descriptor {
	return component.Descriptor{
		Kind: component.KindProcessor, Type: "batch", Stability: component.AllSignals("Beta"),
		DefaultConfig: func() any { c := DefaultConfig(); return &c },
		ConsumerProcessor: func(config any, set component.Settings, next pipeline.Consumer) (component.Exporter, error) {
			return New(*config.(*Config), set, next)
		},
	}
}
