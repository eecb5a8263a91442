package oracle

import "github.com/penstock-telemetry/penstock/otlp"

// A Request is an export request.
type Request struct {
	Signal otlp.Signal
	Bytes  []byte
}

// A Result is what a component did with one request.
type Result struct {
	// Sent are the requests that the component passed on, in order.
	Sent []Request
	// Err is what the sender of the request gets.
	Err error
	// Panic is what the component panicked with; nil: nothing.
	Panic any
}

// An Instance is a component in a pipeline that ends in a sink.
type Instance interface {
	// Process passes one request to the component, and waits for the result.
	Process(request []byte) Result
	Close() error
}

// A Component is what both sides create an instance of.
type Component struct {
	Kind Kind
	// Type is the type's name in a configuration.
	Type string
	// Signal is that of the requests that it gets.
	Signal otlp.Signal
	// Settings are the component's section as YAML. Variables are expanded.
	Settings string
}

// Kind is "processor" or "connector".
type Kind string

// The kinds of components that are compared.
const (
	Processor Kind = "processor"
	Connector Kind = "connector"
)
