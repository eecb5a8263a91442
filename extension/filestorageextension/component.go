package filestorageextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	d := component.OfExtension("file_storage", DefaultConfig, New)
	d.Role = component.RoleStorage
	return d
}
