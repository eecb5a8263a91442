package service

import (
	"strings"

	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// A pipelineConfig is one entry of service.pipelines.
type pipelineConfig struct {
	id     string // "traces/front"
	signal otlp.Signal
	node   *conf.Node

	receivers, processors, exporters []ref

	// broken says that its own errors are reported, so that it may mean more than
	// what could be read.
	broken bool
}

// A ref is an id in a list of a pipeline.
type ref struct {
	id     string
	node   *conf.Node
	target *definition // nil if there is none
}

func (l *loader) pipelines(section *conf.Node) {
	for _, n := range l.entries(section) {
		p := &pipelineConfig{id: n.Key(), node: n}
		var err error
		if p.signal, err = parsePipelineID(p.id); err != nil {
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
		p.receivers = l.refs(p, lists.Receivers, Receiver, Connector)
		p.processors = l.refs(p, lists.Processors, Processor)
		p.exporters = l.refs(p, lists.Exporters, Exporter, Connector)
		if p.broken {
			l.useAll(n)
		}
		l.cfg.pipelines = append(l.cfg.pipelines, p)
	}
}

// refs reads a list of ids and finds what they refer to among kinds.
func (l *loader) refs(p *pipelineConfig, list *conf.Node, kinds ...Kind) []ref {
	var ids []string
	if err := list.Decode(&ids); err != nil {
		l.problems.Add(err)
		p.broken = true
		return nil
	}
	nodes := make([]*conf.Node, len(ids))
	for i := range nodes {
		nodes[i] = list // of "a,b" in one string
	}
	if list.Kind() == conf.List {
		for i, n := range list.Children() {
			nodes[i] = n
		}
	}
	seen := map[string]bool{}
	var refs []ref
	for i, id := range ids {
		if seen[id] {
			l.problems.Add(nodes[i].Errorf("%q is listed twice", id))
			continue
		}
		seen[id] = true
		refs = append(refs, ref{id: id, node: nodes[i], target: l.resolve(id, nodes[i], kinds)})
	}
	return refs
}

// resolve finds the component that id names.
func (l *loader) resolve(id string, at *conf.Node, kinds []Kind) *definition {
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
	for _, k := range []Kind{Receiver, Processor, Exporter, Connector, Extension} {
		if c := l.byID[k][id]; c != nil {
			c.used = true // wrongly, but removing it is not the remedy
			l.problems.Add(at.Errorf("%q is defined as %s, not as %s", id, withArticle(k), withArticle(kinds[0])))
			return nil
		}
	}
	l.problems.Add(at.Errorf("undefined %s %q%s", kinds[0], id, suggest.Known(id, defined)))
	l.useMeant(id, kinds)
	return nil
}

// useMeant spares the component that a misspelt id meant the complaint that
// nobody uses it.
func (l *loader) useMeant(id string, kinds []Kind) {
	for _, k := range kinds {
		for _, c := range l.byID[k] {
			c.used = c.used || strings.Contains(suggest.Known(id, []string{c.id}), "did you mean")
		}
	}
}

// useAll counts every text below n as a use: who writes "exporter: [debug]" has
// a key wrong, but debug is wanted.
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

func withArticle(k Kind) string {
	if k == Exporter || k == Extension {
		return "an " + string(k)
	}
	return "a " + string(k)
}
