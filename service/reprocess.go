package service

import (
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/service/internal/load"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// processPlan is the part of a reload that is about the process: its log, metrics,
// traces and memory. What can fail has been done, and nothing is in effect yet.
type processPlan struct {
	changes []selfobs.Change
	memory  *memory
	into    *process

	settings, needsRestart []string        // as of Reloaded
	waiting                map[string]bool // keys of needsRestart
}

// planProcess prepares the process for another configuration. The caller applies the plan
// or undoes it. The service runs.
func (s *Service) planProcess(next *load.Config) (*processPlan, error) {
	p := &processPlan{into: &s.process, waiting: map[string]bool{}}
	if err := p.prepare(next); err != nil {
		p.undo()
		return nil, err
	}
	if err := p.describe(s, next); err != nil {
		p.undo()
		return nil, err
	}
	return p, nil
}

func (p *processPlan) prepare(next *load.Config) error {
	var err error
	if p.memory, err = p.into.memory.plan(next, detectMemory()); err != nil {
		return err
	}
	t := next.Telemetry.Effective()
	for _, plan := range []func() (selfobs.Change, error){
		func() (selfobs.Change, error) { return p.into.log.Plan(t.Logs) },
		func() (selfobs.Change, error) { return p.into.metrics.Plan(t.Metrics, endpoints(next)) },
		func() (selfobs.Change, error) { return p.into.traces.Plan(t.Traces) },
	} {
		change, err := plan()
		if err != nil {
			return err
		}
		p.changes = append(p.changes, change)
	}
	return nil
}

// describe sorts the settings that changed by when they take effect: those that need a
// restart are compared with the first configuration.
func (p *processPlan) describe(s *Service, next *load.Config) error {
	since, err := s.config().TelemetryDifferences(next)
	if err != nil {
		return err
	}
	all, err := s.first.TelemetryDifferences(next)
	if err != nil {
		return err
	}
	restart := []string{"resource"}
	for _, c := range p.changes {
		restart = append(restart, c.NeedsRestart...)
	}
	needsRestart := func(d load.Difference) bool {
		return slices.ContainsFunc(restart, func(prefix string) bool { return within(telemetryKey(d), prefix) })
	}
	for _, d := range since {
		if !needsRestart(d) && !s.process.waiting[d.Key] && !s.replaces(telemetryKey(d)) {
			p.settings = append(p.settings, d.Text)
		}
	}
	for _, d := range all {
		if needsRestart(d) && !s.replaces(telemetryKey(d)) {
			p.needsRestart = append(p.needsRestart, d.Text)
			p.waiting[d.Key] = true
		}
	}
	if next.HasExtension("zpages") && !s.process.metrics.HasPages() {
		p.needsRestart = append(p.needsRestart, "extension zpages: the counts of its pages")
	}
	p.settings = append(p.settings, s.process.memory.changes(p.memory)...)
	return nil
}

// telemetryKey is the key below service.telemetry.
func telemetryKey(d load.Difference) string { return strings.TrimPrefix(d.Key, "service.telemetry.") }

// replaces reports whether the embedding program has replaced what a key is about.
func (s *Service) replaces(key string) bool {
	return s.opts.Logger != nil && within(key, "logs") || s.opts.Meter != nil && within(key, "metrics") ||
		s.opts.Tracer != nil && within(key, "traces")
}

// within reports whether key is prefix or below it.
func within(key, prefix string) bool {
	rest, ok := strings.CutPrefix(key, prefix)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// apply puts the plan in effect. It cannot fail.
func (p *processPlan) apply() {
	for _, c := range p.changes {
		if c.Apply != nil {
			c.Apply()
		}
	}
	p.into.memory.become(p.memory)
	p.into.waiting = p.waiting
}

// undo gives up what was prepared.
func (p *processPlan) undo() {
	for _, c := range p.changes {
		if c.Undo != nil {
			c.Undo()
		}
	}
}

// newWarnings returns the warnings about next that were not logged before.
func (p *processPlan) newWarnings(before, next *load.Config) (texts []string) {
	known := slices.Concat(before.Warnings(), p.into.memory.warnings)
	for _, text := range slices.Concat(next.Warnings(), p.memory.warnings) {
		if !slices.Contains(known, text) {
			texts = append(texts, text)
		}
	}
	return texts
}
