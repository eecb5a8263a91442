package component

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// A Kind is one of the five sorts of component. Its text is the noun; the section
// of the configuration is its plural.
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

// Section is where components of the kind stand in a configuration.
func (k Kind) Section() string { return string(k) + "s" }

// Stability says how far a component is with each signal, in the Collector's
// words: "Development", "Alpha", "Beta", "Stable". A signal that is not in it is
// not supported. Extensions have none.
type Stability map[otlp.Signal]string

// AllSignals is the stability of a component that handles every signal alike:
// level for traces, metrics and logs; profiles follow the protocol, which is in
// development.
func AllSignals(level string) Stability {
	s := Stability{}
	for _, signal := range otlp.Signals() {
		s[signal] = level
		if signal.Spec().Header != "" { // by which both ends agree on a version in development
			s[signal] = "Development"
		}
	}
	return s
}

// A Descriptor describes a component type to a service: what a configuration
// calls it, what its settings are, and how it is made. Each component package
// exports one; a service runs with those that it is given.
//
// What else a service asks, it asks the decoded configuration, if that has the
// method: Warner, Needer, Listener, Writer, MemoryLimiter.
type Descriptor struct {
	Kind Kind
	// Type is the part of a component's id before the slash: "otlp" in "otlp/2".
	Type string
	// Aliases are other names for Type.
	Aliases   []string
	Stability Stability
	// Role is what an extension can do for other components; empty is nothing.
	Role Role

	// DefaultConfig returns a pointer to a new configuration with its defaults. A
	// section of the file is decoded into it by its yaml tags.
	DefaultConfig func() any

	// One of these makes a component, by Kind. config is what DefaultConfig
	// returned, after decoding. A constructor starts nothing. A processor is made
	// for each pipeline that names it; of the two, Processor is for one that works
	// within the call, and ConsumerProcessor for one that holds data or sends later.
	// A connector without a constructor passes batches on unchanged.
	Receiver          func(config any, set Settings) (Receiver, error)
	Processor         func(config any, set Settings) (pipeline.Processor, error)
	ConsumerProcessor func(config any, set Settings, next pipeline.Consumer) (Exporter, error)
	Exporter          func(config any, set Settings) (Exporter, error)
	// Extension may be nil for one that is its configuration alone.
	Extension func(config any, set Settings) (pipeline.Component, error)
}

// Names returns Type and the aliases.
func (d Descriptor) Names() []string { return append([]string{d.Type}, d.Aliases...) }

// Validate refuses a descriptor that a service could not run.
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

// OfExtension describes an extension.
func OfExtension[C any, E pipeline.Component](typ string, defaults func() C, create func(C, Settings) (E, error)) Descriptor {
	d := describe(KindExtension, typ, nil, defaults)
	d.Extension = func(config any, set Settings) (pipeline.Component, error) { return create(*config.(*C), set) }
	return d
}

// OfConsumer describes an exporter that hands every batch to c, a consumer that
// the embedding program owns. In a configuration it has no keys.
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
