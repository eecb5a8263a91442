package pprofreceiver

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Component describes the receiver to a service.
func Component() component.Descriptor {
	return component.OfReceiver("pprof", component.Stability{otlp.Profiles: "Development"}, DefaultConfig, New)
}

// Exclusive implements component.Exclusive: two instances would both report what the
// targets have counted, and have the same files in the storage.
func (c *Config) Exclusive() bool { return true }
