package headerssetterextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	d := component.OfExtension("headers_setter", DefaultConfig, New)
	d.Role = component.RoleClientAuthenticator
	return d
}
