package healthcheckextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	return component.OfExtension("health_check", DefaultConfig, New)
}

// Listens implements component.Listener.
func (c *Config) Listens() []component.Listen {
	return []component.Listen{{Key: "endpoint", Transport: c.Server.Transport, Address: c.Server.Endpoint}}
}
