package countconnector

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the connector to a service.
func Component() component.Descriptor {
	produces := map[otlp.Signal][]otlp.Signal{}
	for _, s := range otlp.Signals() {
		produces[s] = []otlp.Signal{otlp.Metrics}
	}
	return component.OfConnector("count", component.AllSignals("Alpha"), produces, DefaultConfig, New)
}
