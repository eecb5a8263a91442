package load

import (
	"strings"

	"github.com/penstock-telemetry/penstock/otlp"
)

// edge leads from a pipeline through a connector to another pipeline.
type edge struct {
	by Ref // in the exporters of the first
	to *Pipeline
}

// edges returns the connections from p to other pipelines.
func (c *Config) edges(p *Pipeline) []edge {
	var out []edge
	for _, r := range p.Exporters {
		if !r.IsConnector() {
			continue
		}
		for _, to := range c.Outputs(r.Target, p.Signal) {
			out = append(out, edge{r, to})
		}
	}
	return out
}

// Readers returns the pipelines of a signal that list the given receiver or
// connector among their receivers.
func (c *Config) Readers(of *Component, signal otlp.Signal) []*Pipeline {
	var all []*Pipeline
	for _, p := range c.Pipelines {
		for _, r := range p.Receivers {
			if r.Target == of && p.Signal == signal {
				all = append(all, p)
			}
		}
	}
	return all
}

// checkCycles finds cycles of pipelines and connectors. Each cycle is reported
// once, at the connector that closes it.
func (l *loader) checkCycles() {
	w := &cycleWalk{loader: l, done: map[*Pipeline]bool{}, on: map[*Pipeline]int{}}
	for _, p := range l.cfg.Pipelines {
		w.walk(p)
	}
}

// cycleWalk is a depth-first search. path alternates pipelines and connectors;
// on holds the index in path of each pipeline.
type cycleWalk struct {
	*loader
	done map[*Pipeline]bool
	on   map[*Pipeline]int
	path []string
}

func (w *cycleWalk) walk(p *Pipeline) {
	if w.done[p] {
		return
	}
	w.on[p] = len(w.path)
	w.path = append(w.path, p.ID)
	for _, e := range w.cfg.edges(p) {
		w.path = append(w.path, e.by.ID)
		if start, closed := w.on[e.to]; closed {
			cycle := strings.Join(append(w.path[start:len(w.path):len(w.path)], e.to.ID), " → ")
			w.problems.Add(e.by.node.Errorf("the pipelines form a cycle: %s", cycle))
		} else {
			w.walk(e.to)
		}
		w.path = w.path[:len(w.path)-1]
	}
	w.path = w.path[:len(w.path)-1]
	delete(w.on, p)
	w.done[p] = true
}
