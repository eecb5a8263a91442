package metricstransformprocessor

import (
	"context"
	"fmt"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// lists is the processor for transforms that combine or group: it transforms the metrics of
// a scope together.
type lists struct {
	transforms []*transform
	log        *problems
}

// Process implements pipeline.Processor.
func (l *lists) Process(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	work, err := b.Reserve(ctx, 0)
	if err != nil {
		return nil, err
	}
	defer work.Release()
	r := &run{lists: l, mem: reserving{ctx, &work}, in: b.Bytes(), signal: b.Signal()}
	if err := r.resources(); err != nil {
		return nil, fmt.Errorf("transform metrics: %w", err)
	}
	if !r.changed {
		return b, nil
	}
	if r.size > len(r.in)+otlpedit.MaxGrowth(len(r.in)) {
		return nil, pipeline.Permanently(&otlpedit.GrowthError{RequestBytes: len(r.in)})
	}
	buf, err := b.NewBuffer(ctx, r.size)
	if err != nil {
		return nil, err
	}
	defer buf.Release()
	items := r.write(buf)
	if len(buf.Bytes) > r.size {
		panic("metricstransformprocessor: the result is larger than its bound")
	}
	if items == 0 && b.Items() > 0 {
		return nil, nil
	}
	return b.Derive(buf, items), nil
}

// run transforms one request: first everything is transformed, and then it is written.
type run struct {
	*lists
	mem    aggregate.Memory
	in     []byte
	signal otlp.Signal

	parts   []part
	groups  []group
	changed bool
	size    int // of the result, at most
}

// part is a field of the request: a ResourceX with its scopes, or anything else.
type part struct {
	field  []byte // with its tag
	scopes []scope
	rest   []byte // the value of a ResourceX
	// resource is its Resource, once it was looked for: many scopes may ask for it.
	resource *otlp.Resource
	// changed says that a scope is changed.
	changed bool
}

// scope is a field of a ResourceX: a ScopeX with its metrics, or anything else.
type scope struct {
	field   []byte
	value   []byte // of a ScopeX
	metrics []metric
	changed bool
}

// group is what one transform takes out of one scope.
type group struct {
	resource, scope []byte
	labels          []label
	metrics         []metric
}

// partBytes is what a part or a scope takes in a list that grows, and metricBytes what a
// metric takes in a list that does not.
const (
	partBytes   = 160
	metricBytes = 128
)

func (r *run) resources() error {
	for c := (wire.Cursor{Buf: r.in}); c.Next(); {
		p := part{field: r.in[c.Start:c.End]}
		if c.Num == otlpfield.RequestResources && c.Type == wire.TypeBytes {
			p.rest = c.Bytes
			if err := r.scopes(&p); err != nil {
				return err
			}
		}
		if err := r.mem.Reserve(2 * partBytes); err != nil {
			return err
		}
		r.parts = append(r.parts, p)
		r.size += len(p.field) + headBytes
		r.changed = r.changed || p.changed
	}
	return nil
}

func (r *run) scopes(p *part) error {
	for c := (wire.Cursor{Buf: p.rest}); c.Next(); {
		s := scope{field: p.rest[c.Start:c.End]}
		if c.Num == otlpfield.ResourceXScopes && c.Type == wire.TypeBytes {
			s.value = c.Bytes
			if err := r.scope(p, &s); err != nil {
				return err
			}
		}
		if err := r.mem.Reserve(2 * partBytes); err != nil {
			return err
		}
		p.scopes = append(p.scopes, s)
		r.size += headBytes
		p.changed = p.changed || s.changed
	}
	return nil
}

// scope transforms the metrics of a scope if one of them has a name that matters.
func (r *run) scope(p *part, s *scope) error {
	if !r.matters(s.value) {
		return nil
	}
	n := 0
	for c := (wire.Cursor{Buf: s.value}); c.Next(); {
		if isMetric(&c) {
			n++
		}
	}
	if err := r.mem.Reserve(metricBytes * n); err != nil {
		return err
	}
	s.metrics = make([]metric, 0, n)
	for c := (wire.Cursor{Buf: s.value}); c.Next(); {
		if !isMetric(&c) {
			continue
		}
		m, err := parse(c.Bytes, r.mem)
		if err != nil {
			return err
		}
		s.metrics = append(s.metrics, m)
	}
	for _, t := range r.transforms {
		if err := r.transform(t, p, s); err != nil {
			return err
		}
	}
	for i := range s.metrics {
		s.changed = s.changed || s.metrics[i].changed
	}
	if s.changed {
		for i := range s.metrics {
			r.size += s.metrics[i].size() + headBytes
		}
	}
	return nil
}

func isMetric(c *wire.Cursor) bool { return c.Num == otlpfield.ScopeXItems && c.Type == wire.TypeBytes }

func (r *run) matters(scope []byte) bool {
	for c := (wire.Cursor{Buf: scope}); c.Next(); {
		if !isMetric(&c) {
			continue
		}
		name := nameIn(c.Bytes)
		if slices.ContainsFunc(r.transforms, func(t *transform) bool { return t.matchesName(name) }) {
			return true
		}
	}
	return false
}

func (r *run) transform(t *transform, p *part, s *scope) error {
	switch t.action {
	case actionInsert:
		return r.insert(t, s)
	case actionUpdate:
		return r.update(t, s)
	case actionCombine:
		return r.combine(t, s)
	}
	return r.group(t, p, s)
}

// insert adds transformed copies of the metrics that match.
func (r *run) insert(t *transform, s *scope) error {
	for _, m := range s.metrics[:len(s.metrics):len(s.metrics)] {
		if !t.matches(&m) {
			continue
		}
		m, ok, err := t.extracted(m, r.mem)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		kept, err := t.apply(&m, r.mem)
		if err := r.log.ignore(err); err != nil {
			return err
		}
		if kept {
			if err := r.add(s, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *run) add(s *scope, m metric) error {
	m.changed = true
	if err := r.mem.Reserve(4 * metricBytes); err != nil { // the list may grow
		return err
	}
	s.metrics, s.changed = append(s.metrics, m), true
	return nil
}

func (r *run) update(t *transform, s *scope) error {
	kept := s.metrics[:0]
	for _, m := range s.metrics {
		if !t.matches(&m) {
			kept = append(kept, m)
			continue
		}
		ok, err := t.apply(&m, r.mem)
		if err := r.log.ignore(err); err != nil {
			return err
		}
		if ok {
			kept = append(kept, m)
		} else {
			s.changed = true
		}
	}
	s.metrics = kept
	return nil
}

// take removes the metrics that match, and returns them with the points that do. All other
// points of such a metric are dropped, as in the Collector.
func (r *run) take(t *transform, s *scope) (taken []metric, err error) {
	if err := r.mem.Reserve(metricBytes * len(s.metrics)); err != nil {
		return nil, err
	}
	taken = make([]metric, 0, len(s.metrics))
	kept := s.metrics[:0]
	for _, m := range s.metrics {
		extracted, ok, err := t.extracted(m, r.mem)
		if err != nil {
			return nil, err
		}
		if ok {
			taken = append(taken, extracted)
		} else {
			kept = append(kept, m)
		}
	}
	s.metrics, s.changed = kept, s.changed || len(taken) > 0
	return taken, nil
}

// ownResource returns the Resource of a ResourceX.
func (p *part) ownResource() []byte {
	if p.resource == nil {
		r := otlp.Resource(wire.Merged(p.rest, otlpfield.ResourceXResource))
		p.resource = &r
	}
	return *p.resource
}

// group moves the metrics that match to a resource of their own.
func (r *run) group(t *transform, p *part, s *scope) error {
	taken, err := r.take(t, s)
	if err != nil || len(taken) == 0 {
		return err
	}
	g := group{resource: p.ownResource(), scope: wire.Merged(s.value, otlpfield.ScopeXScope), labels: t.resource, metrics: taken}
	n := len(g.resource) + len(g.scope) + 4*headBytes
	for _, l := range g.labels {
		n += len(l.key) + len(l.value) + 2*headBytes
	}
	r.size += n
	for i := range taken {
		r.size += taken[i].size() + headBytes
	}
	if err := r.mem.Reserve(2 * (n + partBytes)); err != nil {
		return err
	}
	for _, l := range g.labels {
		if g.resource, err = (attributeEdit{set: []byte(l.key), value: l.value}).apply(g.resource, otlpfield.ResourceAttributes, r.mem); err != nil {
			return err
		}
	}
	r.groups = append(r.groups, g)
	return nil
}

// combine makes one metric of those that match.
func (r *run) combine(t *transform, s *scope) error {
	if err := r.mem.Reserve(8 * len(s.metrics)); err != nil {
		return err
	}
	matching := make([]*metric, 0, len(s.metrics))
	for i := range s.metrics {
		if t.matches(&s.metrics[i]) {
			matching = append(matching, &s.metrics[i])
		}
	}
	if len(matching) == 0 {
		return nil
	}
	if err := combinable(matching, r.mem); err != nil {
		return r.log.ignore(err)
	}
	taken, err := r.take(t, s)
	if err != nil || len(taken) == 0 {
		return err
	}
	combined, err := t.combined(taken, r.mem)
	if err != nil {
		return err
	}
	kept, err := t.apply(&combined, r.mem)
	if err := r.log.ignore(err); err != nil || !kept {
		return err
	}
	return r.add(s, combined)
}
