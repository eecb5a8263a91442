// Package component is the contract between a service and the components that it
// runs: how a component type is described (Descriptor), what every component is
// given (Settings), and what a service asks of configurations and instances.
package component

import (
	"net"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Receiver takes data from outside and hands it to one consumer for each signal.
// Register is called before Start, once for each signal that a pipeline wants; an
// error says that the receiver does not have the signal.
type Receiver interface {
	pipeline.Component
	Register(s otlp.Signal, next pipeline.Consumer) error
}

// Exporter takes the batches of a pipeline out of the process.
type Exporter interface {
	pipeline.Component
	pipeline.Consumer
}

// An Endpoint is an address at which a started component listens.
type Endpoint struct {
	// Protocol is what is spoken there: "OTLP/gRPC", "OTLP/HTTP", "metrics".
	Protocol string
	Addr     net.Addr
}

// A Server is a component that listens. Endpoints returns where, after Start;
// port 0 of the configuration is a real port there.
type Server interface{ Endpoints() []Endpoint }
