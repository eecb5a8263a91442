package zpagesextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	return component.OfExtension("zpages", DefaultConfig, New)
}

// Listens implements component.Listener.
func (c *Config) Listens() []component.Listen {
	return []component.Listen{{Key: "endpoint", Transport: c.Server.Transport, Address: c.Server.Endpoint}}
}
