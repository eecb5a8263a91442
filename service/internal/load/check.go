package load

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/conf"
	"github.com/penstock-telemetry/penstock/otlp"
)

// check finds errors in how components refer to each other. Each component has
// been checked alone before.
func (l *loader) check(root *conf.Node) {
	l.checkPipelines(root.Get("service", "pipelines"))
	l.checkSignals()
	l.checkConnectors()
	l.checkPipelineNames()
	l.checkNeeds()
	l.warnUnused()
	l.checkCycles()
	l.checkListeners()
	l.checkFiles()
}

func (l *loader) checkPipelines(section *conf.Node) {
	const text = "expected at least one pipeline, such as traces: {receivers: [otlp], exporters: [debug]}"
	switch {
	case section == nil:
		l.missing("service.pipelines", text)
	case section.Len() == 0 && (section.Kind() == conf.Map || section.Kind() == conf.Null):
		l.problems.Add(section.KeyErrorf(text))
	}
	for _, p := range l.cfg.Pipelines {
		if p.broken {
			continue
		}
		if len(p.Receivers) == 0 && len(p.Exporters) == 0 {
			l.problems.Add(p.node.KeyErrorf("expected at least one receiver and one exporter, as in {receivers: [otlp], exporters: [debug]}"))
			continue
		}
		if len(p.Receivers) == 0 {
			l.problems.Add(p.node.KeyErrorf("expected at least one receiver, as in receivers: [otlp]"))
		}
		if len(p.Exporters) == 0 {
			l.problems.Add(p.node.KeyErrorf("expected at least one exporter, as in exporters: [debug]"))
		}
	}
}

// checkSignals finds components in pipelines of signals that they do not
// support.
func (l *loader) checkSignals() {
	for _, p := range l.cfg.Pipelines {
		for _, r := range slices.Concat(p.Receivers, p.Processors, p.Exporters) {
			if r.isUnclear() || !p.Signal.Valid() {
				continue
			}
			if known := r.Target.Descriptor.Stability; known[p.Signal] == "" && !r.IsConnector() {
				l.problems.Add(r.node.Errorf("the %s %q does not support %s; it supports %s", r.Target.Kind, r.ID, p.Signal, signalList(known)))
			}
		}
	}
}

// isUnclear reports whether the component is unknown or has errors of its own.
func (r Ref) isUnclear() bool { return r.Target == nil || r.Target.broken }

func signalList(known map[otlp.Signal]string) string {
	return listOf(func(s otlp.Signal) bool { return known[s] != "" })
}

// listOf returns the names of the signals that a function selects.
func listOf(selects func(otlp.Signal) bool) string {
	var names []string
	for _, s := range otlp.Signals() {
		if selects(s) {
			names = append(names, s.String())
		}
	}
	return strings.Join(names, ", ")
}

func (r Ref) IsConnector() bool { return r.Target != nil && r.Target.Kind == component.KindConnector }

// setUnusedApart moves the components that are not used to Config.Unused. Their own
// settings have been checked; what they would need, listen on or write is not.
func (l *loader) setUnusedApart() {
	var used []*Component
	for _, c := range l.cfg.Components {
		if !c.used {
			l.cfg.Unused = append(l.cfg.Unused, c)
			continue
		}
		l.problems.Add(c.notHere)
		used = append(used, c)
	}
	l.cfg.Components = used
}

// warnUnused warns about components that are defined but not used. checkNeeds has
// found those that are named and not enabled.
func (l *loader) warnUnused() {
	for _, c := range l.cfg.Unused {
		switch {
		case c.used:
		case c.notHere != nil:
			l.warnAt(c.node, fmt.Sprintf("%v; it is not used, so it is ignored", errors.Unwrap(c.notHere)))
		case c.broken:
		case c.Kind == component.KindExtension:
			l.warnAt(c.node, "the extension is not used: it is not listed in service.extensions")
		default:
			l.warnAt(c.node, fmt.Sprintf("the %s is not used: no pipeline under service.pipelines names it", c.Kind))
		}
	}
}
