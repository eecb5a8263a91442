package countconnector

import (
	"cmp"
	"context"

	"github.com/penstock-telemetry/penstock/internal/statements"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// scopeName is that of the Collector's connector.
const scopeName = "github.com/open-telemetry/opentelemetry-collector-contrib/connector/countconnector"

// counter counts what is in one batch at a time. It is an editor that changes nothing.
type counter struct {
	*connector
	pass   *pipeline.Pass
	tester *ottl.Tester

	of       *pipeline.Batch
	ctx      context.Context
	memory   pipeline.Reservation // for groups
	reserved int                  // bytes of memory that are not used yet
	buf      *pipeline.Buffer     // of the request of metrics; nil until something is counted
	points   int                  // in buf

	at    *otlpedit.Pass
	outer map[string]*outer // by key
	// pointAttributes is the field of the attributes of data points of the present metric.
	pointAttributes uint32
	resource        []byte // the attributes of the present resource, as fields of a Resource
	tallies         []tally
	key             []byte
}

// tally is what was counted of a section in the present resource.
type tally struct {
	first, last uint64 // times; 0: none
	metrics     []groups
}

// groups are the counts of a metric by attributes.
type groups struct {
	index map[string]int // in list, by attributes
	list  []group
}

type group struct {
	attributes string // fields of a data point
	count      int64
}

const (
	// groupBytes is about what a group takes beside its attributes.
	groupBytes = 128
	// reserveBytes is how much memory is reserved at a time.
	reserveBytes = 16 << 10
)

func newCounter(c *connector) *counter {
	n := &counter{connector: c, tester: ottl.NewTester(statements.ClientOf), tallies: make([]tally, len(c.sections)), outer: map[string]*outer{}}
	for i, s := range c.sections {
		n.tallies[i].metrics = make([]groups, len(s.metrics))
	}
	n.pass = pipeline.NewPass(otlpedit.Plan{Edits: otlpedit.Resources | otlpedit.Items, Reads: otlpedit.Resources | otlpedit.Scopes,
		New: func() otlpedit.Editor { return n }})
	return n
}

// begin starts a batch.
func (n *counter) begin(ctx context.Context, b *pipeline.Batch) (err error) {
	n.ctx, n.of, n.reserved, n.points = ctx, b, 0, 0
	n.memory, err = b.Reserve(ctx, 0)
	return err
}

// end lets go of the batch.
func (n *counter) end() {
	if n.buf != nil {
		n.buf.Release()
		n.buf = nil
	}
	n.clear()
	n.memory.Release()
	n.ctx, n.of = nil, nil
	if cap(n.resource) > reserveBytes {
		n.resource = nil
	}
}

// clear forgets the present resource.
func (n *counter) clear() {
	n.resource = n.resource[:0]
	for i := range n.tallies {
		t := &n.tallies[i]
		t.first, t.last = 0, 0
		for j := range t.metrics {
			t.metrics[j] = groups{}
		}
	}
}

// End implements otlpedit.Editor.
func (n *counter) End() {
	n.tester.End()
	n.at = nil
	clear(n.outer)
}

// Edit implements otlpedit.Editor.
func (n *counter) Edit(p *otlpedit.Pass, l otlpedit.Levels, m []byte, _ *otlpedit.Writer) (otlpedit.Verdict, error) {
	if l == otlpedit.Resources {
		if err := n.finishResource(); err != nil {
			return otlpedit.Keep, err
		}
		n.tester.At(p, l, m)
		return otlpedit.Keep, n.copyAttributes(p, m)
	}
	n.tester.At(p, l, m)
	n.at, n.pointAttributes = p, pointAttributes[dataOf(m)]
	for i := range n.sections {
		s := &n.sections[i]
		var err error
		if s.isPart {
			err = n.tester.Parts(func(part []byte) error { return n.countIn(i, part) })
		} else {
			err = n.countIn(i, m)
		}
		if err != nil {
			return otlpedit.Keep, err
		}
	}
	return otlpedit.Keep, nil
}

// countIn counts a message, which the tester is at, in the metrics of a section.
func (n *counter) countIn(i int, m []byte) error {
	s, t := &n.sections[i], &n.tallies[i]
	for _, num := range s.times {
		if at, _ := wire.LastScalar(m, num, wire.TypeFixed64); at != 0 {
			if t.first == 0 {
				t.first = at
			}
			t.first, t.last = min(t.first, at), max(t.last, at)
		}
	}
	for j := range s.metrics {
		if !n.keyOf(s.kind, m, &s.metrics[j]) {
			continue
		}
		ok, err := n.counts(&s.metrics[j])
		if err == nil && ok {
			err = n.add(&t.metrics[j])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// counts reports whether a metric counts the present message. A condition that fails is an
// error, as in the Collector.
func (n *counter) counts(m *metric) (bool, error) {
	for _, c := range m.conditions {
		ok, err := n.tester.Test(c)
		switch {
		case n.tester.Err() != nil:
			return false, n.tester.Err()
		case err != nil:
			return false, pipeline.Permanently(err)
		case ok:
			return true, nil
		}
	}
	return len(m.conditions) == 0, nil
}

// keyOf makes the attributes by which a metric counts message m the key. It returns false if
// one is missing.
func (n *counter) keyOf(k *kind, m []byte, of *metric) bool {
	n.key = n.key[:0]
	for i := range of.attributes {
		a := &of.attributes[i]
		if !n.appendAttribute(k, m, a.key) {
			if a.otherwise == nil {
				return false
			}
			n.key = append(n.key, a.otherwise...)
		}
	}
	return true
}

// add counts one more with the key.
func (n *counter) add(g *groups) error {
	if i, ok := g.index[string(n.key)]; ok {
		g.list[i].count++
		return nil
	}
	if err := n.reserve(groupBytes + len(n.key)); err != nil {
		return err
	}
	if g.index == nil {
		g.index = map[string]int{}
	}
	key := string(n.key)
	g.index[key] = len(g.list)
	g.list = append(g.list, group{key, 1})
	return nil
}

// reserve charges memory for groups.
func (n *counter) reserve(bytes int) error {
	if bytes > n.reserved {
		more := max(bytes, reserveBytes)
		if err := n.memory.Grow(n.ctx, more); err != nil {
			return err
		}
		n.reserved += more
	}
	n.reserved -= bytes
	return nil
}

// finishResource writes what was counted in the present resource.
func (n *counter) finishResource() error {
	defer n.clear()
	size := n.size()
	if size == 0 {
		return nil
	}
	if n.buf == nil {
		buf, err := n.of.NewBuffer(n.ctx, size)
		if err != nil {
			return err
		}
		n.buf = buf
	} else if err := n.buf.Grow(n.ctx, size); err != nil {
		return err
	}
	e := otlp.Encoder{Buf: n.buf.Bytes}
	n.write(&e)
	n.buf.Bytes = e.Buf
	return nil
}

// size is how many bytes write appends at most, 0 if nothing was counted.
func (n *counter) size() (size int) {
	const head = 32 // of a message and its fields of fixed size
	for i := range n.tallies {
		for j, g := range n.tallies[i].metrics {
			if len(g.list) == 0 {
				continue
			}
			m := &n.sections[i].metrics[j]
			size += 3*head + len(m.name) + len(m.description)
			for _, one := range g.list {
				size += 2*head + len(one.attributes)
			}
		}
	}
	if size == 0 {
		return 0
	}
	return size + 4*head + len(n.resource) + len(scopeName)
}

func (n *counter) write(e *otlp.Encoder) {
	r := otlp.AppendExportMetricsServiceRequest(e).AddResourceMetrics()
	res := r.SetResource()
	res.Raw(n.resource)
	res.Close()
	sm := r.AddScopeMetrics()
	s := sm.SetScope()
	s.SetName(scopeName)
	s.Close()
	now := uint64(n.now().UnixNano())
	for i := range n.tallies {
		t := &n.tallies[i]
		for j := range t.metrics {
			if len(t.metrics[j].list) > 0 {
				n.writeMetric(sm, &n.sections[i].metrics[j], t.metrics[j].list, cmp.Or(t.first, now), cmp.Or(t.last, now))
			}
		}
	}
	sm.Close()
	r.Close()
}

func (n *counter) writeMetric(sm otlp.ScopeMetricsBuilder, of *metric, list []group, first, last uint64) {
	m := sm.AddMetrics()
	m.SetName(of.name)
	m.SetDescription(of.description)
	sum := m.SetSum()
	for _, g := range list {
		p := sum.AddDataPoints()
		p.Raw([]byte(g.attributes))
		p.SetStartTimeUnixNano(first)
		p.SetTimeUnixNano(last)
		p.SetAsInt(g.count)
		p.Close()
		n.points++
	}
	sum.SetAggregationTemporality(otlp.AggregationTemporalityDelta)
	sum.SetIsMonotonic(true)
	sum.Close()
	m.Close()
}

// batch returns what was written.
func (n *counter) batch() *pipeline.Batch {
	if n.buf == nil {
		return nil
	}
	return pipeline.NewUncheckedPooledBatch(otlp.Metrics, n.buf, n.points, n.of.Client())
}
