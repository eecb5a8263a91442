package fileexporter

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the exporter to a service.
func Component() component.Descriptor {
	return component.OfExporter("file", component.AllSignals("Alpha"), DefaultConfig, New)
}

// Writes implements component.Writer.
func (c Config) Writes() []component.File { return []component.File{{Key: "path", Path: c.Path}} }
