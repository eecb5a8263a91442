package routingconnector

import "github.com/penstock-telemetry/penstock/component"

// Component describes the connector to a service.
func Component() component.Descriptor {
	return component.OfConnector("routing", component.AllSignals("Alpha"), nil, DefaultConfig, New)
}
