package service

import (
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/memorylimiterprocessor"
	"github.com/penstock-telemetry/penstock/processor/resourceprocessor"
	"github.com/penstock-telemetry/penstock/receiver/collectionagentreceiver"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
	"github.com/penstock-telemetry/penstock/receiver/pprofreceiver"

	"github.com/penstock-telemetry/penstock/exporter/debugexporter"
	"github.com/penstock-telemetry/penstock/exporter/fileexporter"
	"github.com/penstock-telemetry/penstock/exporter/nopexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlpexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlphttpexporter"
)

// A Kind is one of the five sorts of component. Its text is the noun; the
// section of the configuration is its plural.
type Kind string

// The kinds, in the order in which reports list them.
const (
	Receiver  Kind = "receiver"
	Processor Kind = "processor"
	Exporter  Kind = "exporter"
	Connector Kind = "connector"
	Extension Kind = "extension"
)

func (k Kind) section() string { return string(k) + "s" }

// A ComponentType is what a configuration can ask for.
type ComponentType struct {
	Kind Kind
	// Type is the part of a component's id before the slash.
	Type string
	// Aliases are other names for Type.
	Aliases []string
	// Stability says how far each signal is, in the Collector's words. A signal
	// that is not here is not supported. It is nil for extensions.
	Stability map[otlp.Signal]string
}

func (t ComponentType) names() []string { return append([]string{t.Type}, t.Aliases...) }

// ComponentTypes lists what this build knows, by kind and then by name.
func ComponentTypes() []ComponentType {
	all := func() map[otlp.Signal]string {
		return map[otlp.Signal]string{
			otlp.Traces: "Alpha", otlp.Metrics: "Alpha", otlp.Logs: "Alpha", otlp.Profiles: "Development",
		}
	}
	return []ComponentType{
		{Receiver, "collectionagent", nil, map[otlp.Signal]string{otlp.Metrics: "Alpha", otlp.Profiles: "Development"}},
		{Receiver, "otlp", nil, all()},
		{Receiver, "pprof", nil, map[otlp.Signal]string{otlp.Profiles: "Development"}},
		{Processor, "memory_limiter", nil, all()},
		{Processor, "resource", nil, all()},
		{Exporter, "debug", nil, all()},
		{Exporter, "file", nil, all()},
		{Exporter, "nop", nil, all()},
		{Exporter, "otlp", []string{"otlp_grpc"}, all()},
		{Exporter, "otlphttp", []string{"otlp_http"}, all()},
		{Connector, "forward", nil, all()},
		{Extension, "basicauth", nil, nil},
		{Extension, "bearertokenauth", nil, nil},
		{Extension, "health_check", nil, nil},
		{Extension, "memory_limiter", nil, nil},
		{Extension, "oidc", nil, nil},
		{Extension, "pprof", nil, nil},
		{Extension, "zpages", nil, nil},
	}
}

// A catalog is the component types that a configuration is read with. Tests
// bring their own.
type catalog struct {
	types  []ComponentType
	decode func(k Kind, typ string, n *conf.Node) (plan, error)
}

func builtins() catalog { return catalog{types: ComponentTypes(), decode: decodeBuiltin} }

// find returns the type that typ names, also by an alias, and all names of its
// kind.
func (c catalog) find(k Kind, typ string) (found ComponentType, known []string) {
	for _, t := range c.types {
		if t.Kind != k {
			continue
		}
		for _, name := range t.names() {
			known = append(known, name)
			if name == typ {
				found = t
			}
		}
	}
	return found, known
}

// What the graph needs of components.
type (
	receiver interface {
		pipeline.Component
		Register(otlp.Signal, pipeline.Consumer) error
	}
	consumer interface {
		pipeline.Component
		pipeline.Consumer
	}
)

// A plan is a component's configuration and how to make the component from it.
type plan struct {
	config   any // for print-config
	warnings []string
	listens  []listener
	writes   string // the path of a file, of which it is the only writer
	// memory is what a memory_limiter bounds the process by.
	memory *memorylimiterprocessor.Config

	needs []component.Need // the extensions that it names
	role  component.Role   // what an extension is to others, if anything

	// Of these the one that goes with the kind is set; connectors and the
	// extension memory_limiter have none.
	receiver  func(component.Settings) (receiver, error)
	processor func(component.Settings, pipeline.Consumer) (consumer, error)
	exporter  func(component.Settings) (consumer, error)
	extension makeExtension
}

// decodeBuiltin is where a new component is made known, beside ComponentTypes.
func decodeBuiltin(k Kind, typ string, n *conf.Node) (plan, error) {
	switch k.section() + "/" + typ {
	case "receivers/collectionagent":
		return planCollectionAgent(n)
	case "receivers/pprof":
		return planReceiver(n, pprofreceiver.DefaultConfig(), pprofreceiver.New)
	case "receivers/otlp":
		return planOTLPReceiver(n)
	case "processors/memory_limiter":
		return planMemoryLimiter(n)
	case "processors/resource":
		return planProcessor(n, resourceprocessor.DefaultConfig(), resourceprocessor.New)
	case "exporters/debug":
		return planExporter(n, debugexporter.DefaultConfig(), debugexporter.New)
	case "exporters/file":
		p, err := planExporter(n, fileexporter.DefaultConfig(), fileexporter.New)
		p.writes = p.config.(fileexporter.Config).Path
		return p, err
	case "exporters/nop":
		return planExporter(n, nopexporter.DefaultConfig(), nopexporter.New)
	case "exporters/otlp":
		return planExporter(n, otlpexporter.DefaultConfig(), otlpexporter.New)
	case "exporters/otlphttp":
		return planExporter(n, otlphttpexporter.DefaultConfig(), otlphttpexporter.New)
	case "connectors/forward":
		cfg := struct{}{}
		return plan{config: cfg}, n.Decode(&cfg)
	case "extensions/basicauth":
		return planBasicAuth(n)
	case "extensions/bearertokenauth":
		return planBearerToken(n)
	case "extensions/health_check":
		return planHealthCheck(n)
	case "extensions/memory_limiter":
		p, err := planMemoryLimiterExtension(n)
		p.role = component.RoleMiddleware
		return p, err
	case "extensions/oidc":
		return planOIDC(n)
	case "extensions/pprof":
		return planPprof(n)
	case "extensions/zpages":
		return planZPages(n)
	}
	panic("service: the component type " + string(k) + " " + typ + " is listed but not known")
}

func planReceiver[C any, R receiver](n *conf.Node, cfg C, create func(C, component.Settings) (R, error)) (plan, error) {
	err := n.Decode(&cfg)
	return plan{config: cfg, warnings: warningsOf(&cfg), needs: needsOf(&cfg), receiver: func(s component.Settings) (receiver, error) {
		return create(cfg, s)
	}}, err
}

func planProcessor[C any, P consumer](n *conf.Node, cfg C, create func(C, component.Settings, pipeline.Consumer) (P, error)) (plan, error) {
	err := n.Decode(&cfg)
	return plan{config: cfg, warnings: warningsOf(&cfg), needs: needsOf(&cfg), processor: func(s component.Settings, next pipeline.Consumer) (consumer, error) {
		return create(cfg, s, next)
	}}, err
}

func planExporter[C any, E consumer](n *conf.Node, cfg C, create func(C, component.Settings) (E, error)) (plan, error) {
	err := n.Decode(&cfg)
	return plan{config: cfg, warnings: warningsOf(&cfg), needs: needsOf(&cfg), exporter: func(s component.Settings) (consumer, error) {
		return create(cfg, s)
	}}, err
}

func planOTLPReceiver(n *conf.Node) (plan, error) {
	p, err := planReceiver(n, otlpreceiver.DefaultConfig(), otlpreceiver.New)
	cfg := p.config.(otlpreceiver.Config)
	if g := cfg.Protocols.GRPC; g != nil {
		p.listens = append(p.listens, listenerAt(n, g.Transport, g.Endpoint, "protocols", "grpc", "endpoint"))
	}
	if h := cfg.Protocols.HTTP; h != nil && !cfg.OnePort() {
		p.listens = append(p.listens, listenerAt(n, h.Transport, h.Endpoint, "protocols", "http", "endpoint"))
	}
	return p, err
}

func planCollectionAgent(n *conf.Node) (plan, error) {
	p, err := planReceiver(n, collectionagentreceiver.DefaultConfig(), collectionagentreceiver.New)
	cfg := p.config.(collectionagentreceiver.Config)
	p.listens = []listener{listenerAt(n, cfg.Transport, cfg.Endpoint, "endpoint")}
	return p, err
}

// warningsOf asks a configuration for what is suspicious but not wrong.
func warningsOf(cfg any) []string {
	if w, ok := cfg.(interface{ Warnings() []string }); ok {
		return w.Warnings()
	}
	return nil
}
