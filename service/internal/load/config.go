package load

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// An Error reports why Load returned no Config.
type Error struct {
	Problems config.Errors
	// Warnings are those that Config.Warnings would have returned. An unset
	// variable is often the cause of a problem.
	Warnings []string
	Read     Read
}

func (e *Error) Error() string { return e.Problems.Error() }

// Unwrap returns the problems as a config.Errors.
func (e *Error) Unwrap() error { return e.Problems }

// Sources say where a configuration comes from.
type Sources struct {
	// URIs are merged in their order: "path", "file:path", "env:NAME",
	// "yaml:text". If there are none, the built-in default is used.
	URIs []string
	// Set holds assignments "exporters.otlp.timeout=2s", merged last.
	Set []string
}

// Config is a checked configuration. Load returns it; it does not change
// afterwards.
type Config struct {
	Telemetry  selfobs.Config
	Components []*Component // those that are used, in source order, kind by kind
	Unused     []*Component // those that no pipeline and no list names; they are not created
	Extensions []*Component // those that service.extensions lists
	Pipelines  []*Pipeline
	// MetricsListeners are the listeners of service.telemetry.metrics, one for
	// each Prometheus reader. Those of components are not included.
	MetricsListeners []Listener
	BuiltIn          bool // no source was given
	// Read is what was read for it. Content is equal for two configurations that differ at
	// most in comments, positions and the order of keys.
	Read    Read
	Content string

	warnings error // config.Errors, or nil
}

// Warnings returns the settings that are valid but suspicious, in source order.
func (c *Config) Warnings() []string { return textsOf(c.warnings) }

// textsOf returns one text for each part of a conf.Errors.
func textsOf(err error) []string {
	var all conf.Errors
	all.Add(err)
	texts := make([]string, len(all))
	for i, e := range all {
		texts[i] = e.Error()
	}
	return texts
}

// builtInName is the name of the built-in default in errors.
const builtInName = "built-in"

// builtInText is the configuration without a file: it shows what arrives, and of more
// than five requests of a signal in a second every five hundredth.
const builtInText = `receivers:
  otlp:
    protocols:
      grpc:
      http:
exporters:
  debug:
    verbosity: normal
    sampling_initial: 5
    sampling_thereafter: 500
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [debug]
    metrics:
      receivers: [otlp]
      exporters: [debug]
    logs:
      receivers: [otlp]
      exporters: [debug]
    profiles:
      receivers: [otlp]
      exporters: [debug]
`

// document is the top level of a configuration.
type document struct {
	Receivers  *conf.Node `yaml:"receivers"`
	Processors *conf.Node `yaml:"processors"`
	Exporters  *conf.Node `yaml:"exporters"`
	Connectors *conf.Node `yaml:"connectors"`
	Extensions *conf.Node `yaml:"extensions"`
	Service    struct {
		Extensions *conf.Node `yaml:"extensions"`
		Pipelines  *conf.Node `yaml:"pipelines"`
		Telemetry  *conf.Node `yaml:"telemetry"`
	} `yaml:"service"`
}

// Load reads a configuration from its sources and checks all of it, for a service
// that has these components. Its error is an *Error, unless the list of
// components is wrong.
func Load(s Sources, components []component.Descriptor) (*Config, error) {
	c := catalog(components)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("load a configuration: %w", err)
	}
	opts := conf.Options{Sources: s.URIs, Set: s.Set}
	if len(s.URIs) == 0 {
		opts.Sources = []string{builtInName}
		opts.ReadFile = func(string) ([]byte, error) { return []byte(builtInText), nil }
	}
	read := newReading(len(s.URIs) == 0)
	opts.Read = read.note
	l := &loader{catalog: c, cfg: &Config{BuiltIn: len(s.URIs) == 0}, byID: map[component.Kind]map[string]*Component{}, sources: opts.Sources, read: read, undefinedExtensions: map[string]bool{}}
	l.checkVariables(s.URIs)
	tree, err := conf.Load(opts)
	l.problems.Add(err)
	if len(l.problems) > 0 {
		return nil, l.refusal()
	}
	for _, w := range tree.Warnings() {
		l.warnings.Add(&conf.Error{Pos: w.Pos, Err: errors.New(w.Text)})
	}
	l.readSections(tree.Root())
	l.setUnusedApart()
	l.check(tree.Root())
	l.checkMemory()
	if len(l.problems) > 0 {
		return nil, l.refusal()
	}
	l.cfg.warnings = l.warnings.Err()
	l.cfg.Read, l.cfg.Content = read.done(), contentOf(tree.Root())
	return l.cfg, nil
}

// A loader is the state of one Load after the YAML has been read.
type loader struct {
	catalog
	cfg      *Config
	byID     map[component.Kind]map[string]*Component
	sources  []string
	read     *reading
	problems conf.Errors
	warnings conf.Errors // sorted and printed like problems

	extensionsUnclear   bool            // service.extensions could not be read completely
	undefinedExtensions map[string]bool // ids in service.extensions that are not defined, which is reported
}

// refusal returns the error of a Load that found problems.
func (l *loader) refusal() *Error {
	e := &Error{Warnings: textsOf(l.warnings.Err()), Read: l.read.done()}
	errors.As(l.problems.Err(), &e.Problems)
	return e
}

// checkVariables finds sources env:NAME whose variable is not set. Within a
// text an unset variable is only a warning; as a source it is an error.
func (l *loader) checkVariables(uris []string) {
	for _, uri := range uris {
		name, isEnv := strings.CutPrefix(uri, "env:")
		if !isEnv || strings.Contains(name, ":-") {
			continue
		}
		if _, ok := os.LookupEnv(name); !ok {
			l.problems.Add(&conf.Error{Pos: conf.Pos{Source: uri}, Err: fmt.Errorf(
				"the environment variable %q is not set; if it may be missing, write env:%s:-", name, name)})
		}
	}
}

// readSections decodes all sections. References between them are checked later.
func (l *loader) readSections(root *conf.Node) {
	var doc document
	l.problems.Add(root.Decode(&doc))
	l.components(component.KindReceiver, doc.Receivers)
	l.components(component.KindProcessor, doc.Processors)
	l.components(component.KindExporter, doc.Exporters)
	l.components(component.KindConnector, doc.Connectors)
	l.components(component.KindExtension, doc.Extensions)
	l.extensions(doc.Service.Extensions)
	l.pipelines(doc.Service.Pipelines)
	l.telemetry(doc.Service.Telemetry)
}

// entries iterates over a section that must be a map.
func (l *loader) entries(n *conf.Node) []*conf.Node {
	var m map[string]*conf.Node
	if err := n.Decode(&m); err != nil {
		l.problems.Add(err)
		return nil
	}
	var all []*conf.Node
	for _, c := range n.Children() {
		all = append(all, c)
	}
	return all
}

// A Component is one entry of receivers, processors, exporters, connectors or
// extensions.
type Component struct {
	Kind component.Kind
	ID   string // "otlp/2"
	// Descriptor describes its type. Config is what DefaultConfig returned, with
	// the configuration decoded into it.
	Descriptor component.Descriptor
	Config     any

	node    *conf.Node
	broken  bool // it has an error of its own; references to it are not errors for that reason
	used    bool
	notHere error // its type is one of the Collector's that the service does not have
}

// Errorf returns an error at the component's place in the configuration.
func (c *Component) Errorf(format string, args ...any) error {
	return c.node.KeyErrorf(format, args...)
}

// Path returns the component's path in the configuration: "exporters.otlp/2".
func (c *Component) Path() string { return c.node.Path() }

func (l *loader) components(k component.Kind, section *conf.Node) {
	l.byID[k] = map[string]*Component{}
	for _, n := range l.entries(section) {
		c := &Component{Kind: k, ID: n.Key(), node: n}
		l.problems.Add(l.component(c))
		l.byID[k][c.ID] = c
		l.cfg.Components = append(l.cfg.Components, c)
		if w, ok := c.Config.(component.Warner); ok {
			l.warnAt(n, w.Warnings()...)
		}
	}
}

func (l *loader) component(c *Component) error {
	c.broken = true
	typ, _, err := splitID(c.ID)
	if err != nil {
		return c.node.KeyErrorf("%w", err)
	}
	var known []string
	if c.Descriptor, known = l.find(c.Kind, typ); c.Descriptor.Type == "" {
		if isCollectorType(c.Kind, typ) {
			c.notHere = c.node.KeyErrorf("%w", notHereError{c.Kind, typ, slices.Sorted(slices.Values(known))})
			return nil
		}
		return c.node.KeyErrorf("unknown %s type %q%s", c.Kind, typ, suggest.Known(typ, known))
	}
	c.Config = c.Descriptor.DefaultConfig()
	if err := c.node.Decode(c.Config); err != nil {
		return err
	}
	c.broken = false
	return nil
}

func (l *loader) warnAt(n config.Value, texts ...string) {
	for _, text := range texts {
		l.warnings.Add(n.KeyErrorf("%s", text))
	}
}

// missing reports a section that is missing and so has no line.
func (l *loader) missing(path, text string) {
	l.problems.Add(&conf.Error{Pos: conf.Pos{Source: strings.Join(l.sources, ", ")}, Path: path, Err: errors.New(text)})
}
