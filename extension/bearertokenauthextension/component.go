package bearertokenauthextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	d := component.OfExtension("bearertokenauth", DefaultConfig, New)
	d.Role = component.RoleAuthenticator
	return d
}
