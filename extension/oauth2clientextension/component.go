package oauth2clientextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	d := component.OfExtension("oauth2client", DefaultConfig, New)
	d.Role = component.RoleClientAuthenticator
	return d
}
