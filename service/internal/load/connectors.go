package load

import (
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// A side is one end of a connector in pipelines of a signal.
type side struct {
	of     *Component
	signal otlp.Signal
}

// checkConnectors finds connectors in pipelines of signals that they neither consume nor
// produce, and those that only receive data, or only supply data. Each is reported once
// for a signal.
func (l *loader) checkConnectors() {
	fed, read := map[side]bool{}, map[side]bool{}
	for _, p := range l.cfg.Pipelines {
		for _, r := range p.Exporters {
			fed[side{r.Target, p.Signal}] = true
		}
		for _, r := range p.Receivers {
			read[side{r.Target, p.Signal}] = true
		}
	}
	inputs, outputs := map[side]bool{}, map[side]bool{} // that are reported
	for _, p := range l.cfg.Pipelines {
		if !p.Signal.Valid() {
			continue
		}
		for _, r := range p.Exporters {
			if at := (side{r.Target, p.Signal}); r.IsConnector() && !r.Target.broken && !outputs[at] {
				outputs[at] = l.checkOutput(r, p.Signal, read)
			}
		}
		for _, r := range p.Receivers {
			if at := (side{r.Target, p.Signal}); r.IsConnector() && !r.Target.broken && !inputs[at] {
				inputs[at] = l.checkInput(r, p.Signal, fed)
			}
		}
	}
}

// checkOutput checks a connector among the exporters of a pipeline. It reports whether
// there is a problem.
func (l *loader) checkOutput(r Ref, in otlp.Signal, read map[side]bool) (bad bool) {
	d := r.Target.Descriptor
	made := d.Makes(in)
	switch {
	case len(made) == 0:
		l.problems.Add(r.node.Errorf("the connector %q does not support %s among exporters; it supports %s", r.ID, in, signalList(d.Stability)))
	case !slices.ContainsFunc(made, func(s otlp.Signal) bool { return read[side{r.Target, s}] }):
		l.problems.Add(r.node.Errorf("the connector %q has no output: no %s pipeline has it among its receivers", r.ID, orList(made)))
	default:
		return false
	}
	return true
}

// checkInput checks a connector among the receivers of a pipeline. It reports whether
// there is a problem.
func (l *loader) checkInput(r Ref, out otlp.Signal, fed map[side]bool) (bad bool) {
	from := r.Target.makers(out)
	switch {
	case len(from) == 0:
		l.problems.Add(r.node.Errorf("the connector %q does not support %s among receivers; it supports %s", r.ID, out,
			listOf(func(s otlp.Signal) bool { return len(r.Target.makers(s)) > 0 })))
	case !slices.ContainsFunc(from, func(s otlp.Signal) bool { return fed[side{r.Target, s}] }):
		l.problems.Add(r.node.Errorf("the connector %q has no input: no %s pipeline has it among its exporters", r.ID, orList(from)))
	default:
		return false
	}
	return true
}

// makers returns the signals of which a connector makes another.
func (c *Component) makers(of otlp.Signal) (from []otlp.Signal) {
	for _, s := range otlp.Signals() {
		if slices.Contains(c.Descriptor.Makes(s), of) {
			from = append(from, s)
		}
	}
	return from
}

func orList(signals []otlp.Signal) (text string) {
	for i, s := range signals {
		switch {
		case i == 0:
		case i < len(signals)-1:
			text += ", "
		default:
			text += " or "
		}
		text += s.String()
	}
	return text
}

// Outputs returns the pipelines that a connector passes data of a signal to.
func (c *Config) Outputs(of *Component, in otlp.Signal) (all []*Pipeline) {
	for _, s := range of.Descriptor.Makes(in) {
		all = append(all, c.Readers(of, s)...)
	}
	return all
}

// checkPipelineNames finds pipelines that the configuration of a connector names, and that
// are not defined or do not read the connector.
func (l *loader) checkPipelineNames() {
	for _, c := range l.cfg.Components {
		namer, ok := c.Config.(component.PipelineNamer)
		if !ok || c.broken {
			continue
		}
		for _, name := range namer.NamesPipelines() {
			if err := l.checkPipelineName(c, name.ID); err != nil {
				l.problems.Add(c.node.At(name.Key, err))
			}
		}
	}
}

func (l *loader) checkPipelineName(c *Component, id string) error {
	var readers []string
	var found *Pipeline
	for _, p := range l.cfg.Pipelines {
		if p.ID == id {
			found = p
		}
		if slices.ContainsFunc(p.Receivers, func(r Ref) bool { return r.Target == c }) {
			readers = append(readers, p.ID)
		}
	}
	switch {
	case found == nil:
		return fmt.Errorf("undefined pipeline %q%s", id, suggest.Known(id, readers))
	case !found.broken && !slices.Contains(readers, id):
		return fmt.Errorf("the pipeline %q does not read the %s %q: it does not have it among its receivers%s", id, c.Kind, c.ID, suggest.Known(id, readers))
	}
	return nil
}
