package service

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// ConfigErrors is what a LoadError wraps: every problem of a configuration, each with
// its file, line and column, sorted by place. Its text has one line for each.
type ConfigErrors = config.Errors

// A LoadError says why there is no Config.
type LoadError struct {
	Problems ConfigErrors
	// Warnings are what Config.Warnings would be. A variable that is not set is
	// often the reason of a problem.
	Warnings []string
}

func (e *LoadError) Error() string { return e.Problems.Error() }

// Unwrap returns the problems as a ConfigErrors.
func (e *LoadError) Unwrap() error { return e.Problems }

// Sources say where a configuration comes from.
type Sources struct {
	// URIs are merged in their order: "path", "file:path", "env:NAME",
	// "yaml:text". Without any, the built-in default is taken.
	URIs []string
	// Set holds assignments "exporters.otlp.timeout=2s", merged last.
	Set []string
}

// Config is a checked configuration. Load makes it, and nothing changes it.
type Config struct {
	telemetry  telemetryConfig
	components []*definition // in source order, kind by kind
	extensions []*definition // those that service.extensions lists
	pipelines  []*pipelineConfig
	listeners  []listener // of the telemetry; receivers have their own
	warnings   error      // conf.Errors, or nil
	builtIn    bool
}

// Load reads a configuration from files and other sources and checks all of it.
// Its error is a *LoadError, which wraps a ConfigErrors.
func Load(uris ...string) (*Config, error) { return LoadFrom(Sources{URIs: uris}) }

// LoadFrom is Load with all that can be said about sources.
func LoadFrom(s Sources) (*Config, error) { return builtins().load(s) }

// Warnings returns what is suspicious but not wrong, in source order.
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

// builtInName is what errors call the built-in default.
const builtInName = "built-in"

// builtInText runs without a file: everything that comes in is shown.
const builtInText = `receivers:
  otlp:
    protocols:
      grpc:
      http:
exporters:
  debug:
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

func (c catalog) load(s Sources) (*Config, error) {
	opts := conf.Options{Sources: s.URIs, Set: s.Set}
	if len(s.URIs) == 0 {
		opts.Sources = []string{builtInName}
		opts.ReadFile = func(string) ([]byte, error) { return []byte(builtInText), nil }
	}
	l := &loader{catalog: c, cfg: &Config{builtIn: len(s.URIs) == 0}, byID: map[Kind]map[string]*definition{}, sources: opts.Sources}
	l.checkVariables(s.URIs)
	tree, err := conf.Load(opts)
	l.problems.Add(err)
	if len(l.problems) > 0 {
		return nil, l.refusal()
	}
	for _, w := range tree.Warnings() {
		l.warnings.Add(&conf.Error{Pos: w.Pos, Err: errors.New(w.Text)})
	}
	l.read(tree.Root())
	l.check(tree.Root())
	l.checkMemory()
	if len(l.problems) > 0 {
		return nil, l.refusal()
	}
	l.cfg.warnings = l.warnings.Err()
	return l.cfg, nil
}

// A loader is the state of one Load after the YAML has been read.
type loader struct {
	catalog
	cfg      *Config
	byID     map[Kind]map[string]*definition
	sources  []string
	problems conf.Errors
	warnings conf.Errors // sorted and printed as the problems are

	extensionsUnclear bool // service.extensions could not be read whole
}

// refusal is the error of a Load that found problems.
func (l *loader) refusal() *LoadError {
	e := &LoadError{Warnings: textsOf(l.warnings.Err())}
	errors.As(l.problems.Err(), &e.Problems)
	return e
}

// checkVariables finds sources env:NAME that are not there. Unlike one within a
// text, whoever names a variable as a source means it to hold something.
func (l *loader) checkVariables(uris []string) {
	for _, uri := range uris {
		name, isEnv := strings.CutPrefix(uri, "env:")
		if !isEnv || strings.Contains(name, ":-") {
			continue
		}
		if _, ok := os.LookupEnv(name); !ok {
			l.problems.Add(&conf.Error{Pos: conf.Pos{Source: uri}, Err: fmt.Errorf(
				"cannot load the environment variable %q: it is not set; if it may be missing, write env:%s:-", name, name)})
		}
	}
}

// read decodes everything; what hangs together is checked later.
func (l *loader) read(root *conf.Node) {
	var doc document
	l.problems.Add(root.Decode(&doc))
	l.components(Receiver, doc.Receivers)
	l.components(Processor, doc.Processors)
	l.components(Exporter, doc.Exporters)
	l.components(Connector, doc.Connectors)
	l.components(Extension, doc.Extensions)
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

// A component is one entry of receivers, processors, exporters, connectors or
// extensions.
type definition struct {
	plan
	kind Kind
	id   string // "otlp/2"
	typ  ComponentType
	node *conf.Node

	broken bool // its own errors are reported; what refers to it is not wrong for that
	used   bool
}

func (l *loader) components(k Kind, section *conf.Node) {
	l.byID[k] = map[string]*definition{}
	for _, n := range l.entries(section) {
		c := &definition{kind: k, id: n.Key(), node: n}
		l.problems.Add(l.component(c))
		l.byID[k][c.id] = c
		l.cfg.components = append(l.cfg.components, c)
		l.warnAt(n, c.warnings...)
	}
}

func (l *loader) component(c *definition) error {
	c.broken = true
	typ, _, err := splitID(c.id)
	if err != nil {
		return c.node.KeyErrorf("%w", err)
	}
	var known []string
	if c.typ, known = l.find(c.kind, typ); c.typ.Type == "" {
		return c.node.KeyErrorf("unknown %s type %q%s", c.kind, typ, suggest.Known(typ, known))
	}
	if c.plan, err = l.decode(c.kind, c.typ.Type, c.node); err != nil {
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

// missing reports a section that is nowhere, so that it has no line.
func (l *loader) missing(path, text string) {
	l.problems.Add(&conf.Error{Pos: conf.Pos{Source: strings.Join(l.sources, ", ")}, Path: path, Err: errors.New(text)})
}
