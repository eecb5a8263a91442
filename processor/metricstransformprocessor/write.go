package metricstransformprocessor

import (
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// write writes the result to a buffer that is large enough, and returns the number of data
// points. Scopes and resources that lost all of their metrics are left out.
func (r *run) write(buf *pipeline.Buffer) (items int) {
	e := wire.Encoder{Buf: buf.Bytes}
	for i := range r.parts {
		p := &r.parts[i]
		if !p.changed {
			e.Raw(p.field)
			if p.rest != nil {
				items += otlp.CountItems(r.signal, otlp.PartResource, p.rest)
			}
			continue
		}
		if p.gone() {
			continue
		}
		mark := e.Open(otlpfield.RequestResources)
		for j := range p.scopes {
			items += r.writeScope(&e, &p.scopes[j])
		}
		e.Close(mark)
	}
	for i := range r.groups {
		items += r.groups[i].write(&e)
	}
	buf.Bytes = e.Buf
	return items
}

// gone reports whether no scope of a changed resource is left.
func (p *part) gone() bool {
	return !slices.ContainsFunc(p.scopes, func(s scope) bool { return s.value != nil && !s.gone() })
}

func (s *scope) gone() bool { return s.changed && len(s.metrics) == 0 }

func (r *run) writeScope(e *wire.Encoder, s *scope) (items int) {
	switch {
	case s.gone():
		return 0
	case !s.changed:
		e.Raw(s.field)
		if s.value == nil {
			return 0
		}
		return otlp.CountItems(r.signal, otlp.PartScope, s.value)
	}
	mark := e.Open(otlpfield.ResourceXScopes)
	for c := (wire.Cursor{Buf: s.value}); c.Next(); {
		if c.Num != otlpfield.ScopeXItems || c.Type != wire.TypeBytes {
			e.Raw(s.value[c.Start:c.End])
		}
	}
	items = writeMetrics(e, s.metrics)
	e.Close(mark)
	return items
}

func writeMetrics(e *wire.Encoder, metrics []metric) (items int) {
	for i := range metrics {
		m := &metrics[i]
		mark := e.Open(otlpfield.ScopeXItems)
		if m.changed {
			m.appendTo(e)
		} else {
			e.Raw(m.raw)
		}
		e.Close(mark)
		items += len(m.points)
	}
	return items
}

func (g *group) write(e *wire.Encoder) (items int) {
	resource := e.Open(otlpfield.RequestResources)
	if g.resource != nil {
		e.Bytes(otlpfield.ResourceXResource, g.resource)
	}
	scope := e.Open(otlpfield.ResourceXScopes)
	if g.scope != nil {
		e.Bytes(otlpfield.ScopeXScope, g.scope)
	}
	items = writeMetrics(e, g.metrics)
	e.Close(scope)
	e.Close(resource)
	return items
}
