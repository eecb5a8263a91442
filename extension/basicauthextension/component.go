package basicauthextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	d := component.OfExtension("basicauth", DefaultConfig, New)
	d.Role = component.RoleAuthenticator
	return d
}
