package service

import "strings"

// edge leads from a pipeline through a connector to another pipeline.
type edge struct {
	by ref // in the exporters of the first
	to *pipelineConfig
}

// edges returns where p leads.
func (c *Config) edges(p *pipelineConfig) []edge {
	var out []edge
	for _, r := range p.exporters {
		if !r.isConnector() {
			continue
		}
		for _, to := range c.readers(r.target, p) {
			out = append(out, edge{r, to})
		}
	}
	return out
}

// readers returns the pipelines that connector gives the batches of from.
func (c *Config) readers(connector *definition, from *pipelineConfig) []*pipelineConfig {
	var all []*pipelineConfig
	for _, p := range c.pipelines {
		for _, r := range p.receivers {
			if r.target == connector && p.signal == from.signal {
				all = append(all, p)
			}
		}
	}
	return all
}

// checkCycles finds ways through connectors that lead back to where they began.
// Each is reported once, at the connector that closes it.
func (l *loader) checkCycles() {
	w := &cycleWalk{loader: l, done: map[*pipelineConfig]bool{}, on: map[*pipelineConfig]int{}}
	for _, p := range l.cfg.pipelines {
		w.visit(p)
	}
}

// cycleWalk is a depth-first search. path alternates pipelines and connectors,
// and on holds the place in it of each pipeline.
type cycleWalk struct {
	*loader
	done map[*pipelineConfig]bool
	on   map[*pipelineConfig]int
	path []string
}

func (w *cycleWalk) visit(p *pipelineConfig) {
	if w.done[p] {
		return
	}
	w.on[p] = len(w.path)
	w.path = append(w.path, p.id)
	for _, e := range w.cfg.edges(p) {
		w.path = append(w.path, e.by.id)
		if start, closed := w.on[e.to]; closed {
			cycle := strings.Join(append(w.path[start:len(w.path):len(w.path)], e.to.id), " → ")
			w.problems.Add(e.by.node.Errorf("the pipelines form a cycle: %s", cycle))
		} else {
			w.visit(e.to)
		}
		w.path = w.path[:len(w.path)-1]
	}
	w.path = w.path[:len(w.path)-1]
	delete(w.on, p)
	w.done[p] = true
}
