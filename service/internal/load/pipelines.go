package load

import (
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// A Pipeline is one entry of service.pipelines.
type Pipeline struct {
	ID     string // "traces/front"
	Signal otlp.Signal
	// Receivers and Exporters may hold connectors.
	Receivers, Processors, Exporters []Ref

	node *conf.Node

	// broken reports that it has an error of its own: its lists may be
	// incomplete.
	broken bool
}

// A Ref is an id in a list of a pipeline.
type Ref struct {
	ID     string
	Target *Component // nil only while a configuration is checked

	node *conf.Node
}

func (l *loader) pipelines(section *conf.Node) {
	for _, n := range l.entries(section) {
		p := &Pipeline{ID: n.Key(), node: n}
		var err error
		if p.Signal, err = parsePipelineID(p.ID); err != nil {
			l.problems.Add(n.KeyErrorf("%w", err))
			p.broken = true
		}
		var lists struct {
			Receivers  *conf.Node `yaml:"receivers"`
			Processors *conf.Node `yaml:"processors"`
			Exporters  *conf.Node `yaml:"exporters"`
		}
		if err := n.Decode(&lists); err != nil {
			l.problems.Add(err)
			p.broken = true
		}
		p.Receivers = l.refs(p, lists.Receivers, component.KindReceiver, component.KindConnector)
		p.Processors = l.refs(p, lists.Processors, component.KindProcessor)
		p.Exporters = l.refs(p, lists.Exporters, component.KindExporter, component.KindConnector)
		if p.broken {
			l.useAll(n)
		}
		l.cfg.Pipelines = append(l.cfg.Pipelines, p)
	}
}

// refs reads a list of ids and finds the components of the given kinds.
func (l *loader) refs(p *Pipeline, list *conf.Node, kinds ...component.Kind) []Ref {
	var ids []string
	if err := list.Decode(&ids); err != nil {
		l.problems.Add(err)
		p.broken = true
		return nil
	}
	nodes := make([]*conf.Node, len(ids))
	for i := range nodes {
		nodes[i] = list // for "a,b" in one string
	}
	if list.Kind() == conf.List {
		for i, n := range list.Children() {
			nodes[i] = n
		}
	}
	seen := map[string]bool{}
	var refs []Ref
	for i, id := range ids {
		if seen[id] {
			l.listedTwice(id, nodes[i], kinds[0])
			continue
		}
		seen[id] = true
		refs = append(refs, Ref{ID: id, node: nodes[i], Target: l.resolve(id, nodes[i], kinds)})
	}
	return refs
}

// listedTwice reports an id that a list contains already. As in the Collector, only
// a processor cannot be repeated; the others are used once.
func (l *loader) listedTwice(id string, at *conf.Node, k component.Kind) {
	if k == component.KindProcessor {
		l.problems.Add(at.Errorf("%q is listed twice", id))
		return
	}
	l.warnings.Add(at.Errorf("%q is listed twice; it is used once", id))
}

// resolve finds the component that id names.
func (l *loader) resolve(id string, at *conf.Node, kinds []component.Kind) *Component {
	var defined []string
	for _, k := range kinds {
		if c := l.byID[k][id]; c != nil {
			c.used = true
			return c
		}
		for other := range l.byID[k] {
			defined = append(defined, other)
		}
	}
	for _, k := range component.Kinds() {
		if c := l.byID[k][id]; c != nil {
			c.used = true // in the wrong list, but removing it would not help
			l.problems.Add(at.Errorf("%q is defined as %s, not as %s", id, withArticle(k), withArticle(kinds[0])))
			return nil
		}
	}
	l.problems.Add(at.Errorf("undefined %s %q%s", kinds[0], id, suggest.Known(id, defined)))
	if kinds[0] == component.KindExtension {
		l.undefinedExtensions[id] = true
	}
	l.useMeant(id, kinds)
	return nil
}

// useMeant marks components with an id similar to the misspelt id as used, so
// that they are not reported as unused as well.
func (l *loader) useMeant(id string, kinds []component.Kind) {
	for _, k := range kinds {
		for _, c := range l.byID[k] {
			c.used = c.used || strings.Contains(suggest.Known(id, []string{c.ID}), "did you mean")
		}
	}
}

// useAll marks every component that a text below n names as used: in "exporter:
// [debug]" the key is wrong, but debug is not unused.
func (l *loader) useAll(n *conf.Node) {
	for _, byID := range l.byID {
		if c := byID[n.Text()]; c != nil {
			c.used = true
		}
	}
	for _, c := range n.Children() {
		l.useAll(c)
	}
}

func withArticle(k component.Kind) string {
	if k == component.KindExporter || k == component.KindExtension {
		return "an " + string(k)
	}
	return "a " + string(k)
}
