// Package component is the contract between a service and the components that it
// runs: Descriptor describes a component type, Settings are the common arguments
// of all constructors, and the interfaces are what a service requires of
// configurations and instances.
package component

import (
	"net"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Receiver takes data from outside the process and passes it to one consumer for
// each signal. Register is called before Start, once for each signal that a
// pipeline wants; it returns an error if the receiver does not support the
// signal.
type Receiver interface {
	pipeline.Component
	Register(s otlp.Signal, next pipeline.Consumer) error
}

// Exporter sends or writes the batches of a pipeline to a destination outside
// the process.
type Exporter interface {
	pipeline.Component
	pipeline.Consumer
}

// An Endpoint is an address at which a started component listens.
type Endpoint struct {
	// Protocol is "OTLP/gRPC", "OTLP/HTTP", "metrics" and so on.
	Protocol string
	Addr     net.Addr
	// Secure says that the endpoint has TLS.
	Secure bool
}

// A Server is a component that listens. Endpoints returns its addresses after
// Start, with the actual port where the configuration has port 0.
type Server interface{ Endpoints() []Endpoint }
