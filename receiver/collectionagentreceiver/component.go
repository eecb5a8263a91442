package collectionagentreceiver

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the receiver to a service.
func Component() component.Descriptor {
	s := component.Stability{otlp.Metrics: "Alpha", otlp.Profiles: "Development"}
	return component.OfReceiver("collectionagent", s, DefaultConfig, New)
}

// Listens implements component.Listener.
func (c *Config) Listens() []component.Listen {
	return []component.Listen{{Key: "endpoint", Transport: c.Transport, Address: c.Endpoint}}
}
