package component

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// A Kind is one of the five kinds of components. Its text is the noun, such as
// "receiver".
type Kind string

// The kinds, in the order in which reports list them.
const (
	KindReceiver  Kind = "receiver"
	KindProcessor Kind = "processor"
	KindExporter  Kind = "exporter"
	KindConnector Kind = "connector"
	KindExtension Kind = "extension"
)

// Kinds returns all kinds in their order.
func Kinds() []Kind {
	return []Kind{KindReceiver, KindProcessor, KindExporter, KindConnector, KindExtension}
}

// Section returns the section of a configuration that holds components of the
// kind: "receivers".
func (k Kind) Section() string { return string(k) + "s" }

// Stability maps each supported signal to its stability level, in the
// Collector's words: "Development", "Alpha", "Beta", "Stable". Extensions have
// none.
type Stability map[otlp.Signal]string

// AllSignals returns the stability of a component that handles all signals in
// the same way: level for traces, metrics and logs, and Development for
// profiles, like their protocol.
func AllSignals(level string) Stability {
	s := Stability{}
	for _, signal := range otlp.Signals() {
		s[signal] = level
		if signal.Spec().Header != "" { // the version header of a signal in development
			s[signal] = "Development"
		}
	}
	return s
}

// A Descriptor describes a component type to a service: its name in a
// configuration, its settings and its constructor. Each component package
// exports one, and service.Options has the list that a service uses.
//
// The decoded configuration may implement Warner, Needer, PipelineNamer, Provider,
// Listener, Writer, Exclusive and MemoryLimiter.
type Descriptor struct {
	Kind Kind
	// Type is the part of a component's id before the slash: "otlp" in "otlp/2".
	Type string
	// Aliases are other names for Type.
	Aliases []string
	// Stability has the supported signals; of a connector those that it consumes.
	Stability Stability
	// Produces are the signals that a connector makes of each that it consumes; nil means
	// the same signal.
	Produces map[otlp.Signal][]otlp.Signal
	// Role is what an extension provides to other components; empty if nothing. A
	// configuration that implements Provider replaces it.
	Role Role

	// DefaultConfig returns a pointer to a new configuration with its defaults. A
	// section of the file is decoded into it with its yaml tags.
	DefaultConfig func() any

	// The constructor for the Kind. config is what DefaultConfig returned, after
	// decoding. A constructor starts nothing. Processors are created for each
	// pipeline that names them: Processor for one that works within the call,
	// ConsumerProcessor for one that holds data or sends later. Connectors are created for
	// each signal that pipelines pass to them; one without a constructor passes batches on
	// unchanged. A Connector that implements pipeline.Component is started and shut down.
	Receiver          func(config any, set Settings) (Receiver, error)
	Processor         func(config any, set Settings) (pipeline.Processor, error)
	ConsumerProcessor func(config any, set Settings, next pipeline.Consumer) (Exporter, error)
	Exporter          func(config any, set Settings) (Exporter, error)
	Connector         func(config any, set Settings, out Outputs) (pipeline.Consumer, error)
	// Extension may be nil for an extension that has only a configuration.
	Extension func(config any, set Settings) (pipeline.Component, error)
}

// Names returns Type and the aliases.
func (d Descriptor) Names() []string { return append([]string{d.Type}, d.Aliases...) }

// Validate returns an error if the descriptor is incomplete.
func (d Descriptor) Validate() error {
	made := map[Kind]bool{
		KindReceiver:  d.Receiver != nil,
		KindProcessor: (d.Processor != nil) != (d.ConsumerProcessor != nil),
		KindExporter:  d.Exporter != nil,
		KindConnector: true,
		KindExtension: true,
	}
	switch made, known := made[d.Kind]; {
	case !known:
		return fmt.Errorf("component %q: unknown kind %q", d.Type, d.Kind)
	case d.Type == "":
		return fmt.Errorf("%s: the type is empty", d.Kind)
	case d.DefaultConfig == nil:
		return fmt.Errorf("%s %q: DefaultConfig is missing", d.Kind, d.Type)
	case !made:
		return fmt.Errorf("%s %q: expected one constructor of a %[1]s", d.Kind, d.Type)
	}
	return nil
}

// OfReceiver describes a receiver whose constructor takes its configuration by
// value.
func OfReceiver[C any, R Receiver](typ string, s Stability, defaults func() C, create func(C, Settings) (R, error)) Descriptor {
	d := describe(KindReceiver, typ, s, defaults)
	d.Receiver = func(config any, set Settings) (Receiver, error) { return create(*config.(*C), set) }
	return d
}

// OfProcessor describes a processor that works within the call.
func OfProcessor[C any, P pipeline.Processor](typ string, s Stability, defaults func() C, create func(C, Settings) (P, error)) Descriptor {
	d := describe(KindProcessor, typ, s, defaults)
	d.Processor = func(config any, set Settings) (pipeline.Processor, error) { return create(*config.(*C), set) }
	return d
}

// OfExporter describes an exporter.
func OfExporter[C any, E Exporter](typ string, s Stability, defaults func() C, create func(C, Settings) (E, error)) Descriptor {
	d := describe(KindExporter, typ, s, defaults)
	d.Exporter = func(config any, set Settings) (Exporter, error) { return create(*config.(*C), set) }
	return d
}

// OfConnector describes a connector. produces is Descriptor.Produces.
func OfConnector[C any, N pipeline.Consumer](typ string, s Stability, produces map[otlp.Signal][]otlp.Signal, defaults func() C, create func(C, Settings, Outputs) (N, error)) Descriptor {
	d := describe(KindConnector, typ, s, defaults)
	d.Produces = produces
	d.Connector = func(config any, set Settings, out Outputs) (pipeline.Consumer, error) {
		return create(*config.(*C), set, out)
	}
	return d
}

// OfExtension describes an extension.
func OfExtension[C any, E pipeline.Component](typ string, defaults func() C, create func(C, Settings) (E, error)) Descriptor {
	d := describe(KindExtension, typ, nil, defaults)
	d.Extension = func(config any, set Settings) (pipeline.Component, error) { return create(*config.(*C), set) }
	return d
}

// OfConsumer describes an exporter that passes every batch to c, a consumer
// that the embedding program owns. Its configuration has no keys.
func OfConsumer(typ string, c pipeline.Consumer) Descriptor {
	return OfExporter(typ, AllSignals("Stable"), func() struct{} { return struct{}{} },
		func(struct{}, Settings) (Exporter, error) { return consumerExporter{c}, nil })
}

// OfForward describes the connector that passes batches on unchanged.
func OfForward(typ string) Descriptor {
	return describe(KindConnector, typ, AllSignals("Alpha"), func() struct{} { return struct{}{} })
}

func describe[C any](k Kind, typ string, s Stability, defaults func() C) Descriptor {
	return Descriptor{Kind: k, Type: typ, Stability: s, DefaultConfig: func() any {
		c := defaults()
		return &c
	}}
}

// consumerExporter has nothing to start.
type consumerExporter struct{ pipeline.Consumer }

func (consumerExporter) Start(context.Context) error    { return nil }
func (consumerExporter) Shutdown(context.Context) error { return nil }

// Makes returns the signals that a connector makes of one that it consumes; none if it does
// not consume it.
func (d Descriptor) Makes(of otlp.Signal) []otlp.Signal {
	switch {
	case d.Stability[of] == "":
		return nil
	case d.Produces == nil:
		return []otlp.Signal{of}
	}
	return d.Produces[of]
}
