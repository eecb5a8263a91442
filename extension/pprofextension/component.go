package pprofextension

import (
	"github.com/penstock-telemetry/penstock/component"
)

// Component describes the extension to a service.
func Component() component.Descriptor {
	return component.OfExtension("pprof", DefaultConfig, New)
}

// Listens implements component.Listener.
func (c *Config) Listens() []component.Listen {
	return []component.Listen{{Key: "endpoint", Transport: c.Server.Transport, Address: c.Server.Endpoint}}
}

// Writes implements component.Writer.
func (c *Config) Writes() []component.File {
	return []component.File{{Key: "save_to_file", Path: c.SaveToFile}}
}

// Exclusive implements component.Exclusive: the sampling rates and the CPU profile are
// those of the process.
func (c *Config) Exclusive() bool {
	return c.BlockProfileFraction > 0 || c.MutexProfileFraction > 0 || c.SaveToFile != ""
}
