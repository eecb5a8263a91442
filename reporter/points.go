package reporter

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// maxPoints bounds the data points that wait for the next report: 1.5 MiB.
const maxPoints = 1 << 16

// points are the values of ReportMetrics that wait.
type points struct {
	definitions map[uint32]MetricDefinition

	mu     sync.Mutex
	list   []point
	since  map[uint32]uint64 // time of a counter's last point, Unix ns
	begun  uint64            // time before all points, Unix ns
	closed bool

	reported, invalid, ignored, unknown, full, tooLarge, late int64
}

type point struct {
	id    uint32
	time  uint64 // Unix ns
	value int64
}

func (p *points) add(timestamp uint32, ids []uint32, values []int64) {
	n := min(len(ids), len(values))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reported += int64(max(len(ids), len(values)))
	p.invalid += int64(max(len(ids), len(values)) - n) // ids without a value, or values without an id
	if p.closed {
		p.late += int64(n)
		return
	}
	if len(p.definitions) == 0 {
		p.ignored += int64(n)
		return
	}
	for i, id := range ids[:n] {
		switch _, known := p.definitions[id]; {
		case !known:
			p.unknown++
		case len(p.list) >= maxPoints:
			p.full++
		default:
			p.list = append(p.list, point{id, uint64(timestamp) * uint64(time.Second), values[i]})
		}
	}
}

func (p *points) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
}

// held returns how many points wait.
func (p *points) held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.list))
}

// take empties the list, sorted by id; points of one id stay in their order.
func (p *points) take() []point {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.list
	p.list = nil
	slices.SortStableFunc(list, func(a, b point) int { return cmp.Compare(a.id, b.id) })
	return list
}

// begin returns when the interval of a counter's point began, and notes its end.
func (p *points) begin(q point) (start uint64) {
	start, known := p.since[q.id]
	if !known {
		start = p.begun
	}
	p.since[q.id] = q.time
	return min(start, q.time)
}

// drops returns how many points did not fit into the window, how many did not fit
// into a request, and how many were invalid.
func (p *points) drops() (full, tooLarge, invalid int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.full, p.tooLarge, p.invalid + p.unknown
}

// reportPoints makes metrics requests of what was collected.
func (r *OTLPReporter) reportPoints() {
	defer r.logDrops(false)
	r.writing.Lock()
	defer r.writing.Unlock()
	r.writePoints()
}

// writePoints is called with writing held.
func (r *OTLPReporter) writePoints() {
	base := r.base()
	for list := r.points.take(); len(list) > 0; {
		n := r.pointsThatFit(base, list)
		if n == 0 {
			r.points.refuse()
			list = list[1:]
			continue
		}
		r.queue.Put(delivery.Request{Batch: pipeline.NewUncheckedBatch(otlp.Metrics, r.metricsRequest(base, list[:n]), n, nil)})
		list = list[n:]
	}
}

// refuse counts a point that is too large.
func (p *points) refuse() {
	p.mu.Lock()
	p.tooLarge++
	p.mu.Unlock()
}

// pointBytes is more than a data point takes, and more than a metric takes beside
// its texts and points.
const pointBytes = 64

// pointsThatFit returns how many points of list make a request.
func (r *OTLPReporter) pointsThatFit(base libpf.Attributes, list []point) int {
	room := r.cfg.requestBytes() - 2*len(base) - len(r.cfg.Name) - len(r.cfg.Version) - 256
	for i, q := range list {
		room -= pointBytes
		if i == 0 || q.id != list[i-1].id {
			d := r.points.definitions[q.id]
			room -= len(d.Name) + len(d.Description) + len(d.Unit) + pointBytes
		}
		if room < 0 {
			return i
		}
	}
	return len(list)
}

// metricsRequest writes points, sorted by id, as an ExportMetricsServiceRequest.
func (r *OTLPReporter) metricsRequest(base libpf.Attributes, list []point) []byte {
	e := otlp.Encoder{Buf: make([]byte, 0, pointBytes*len(list)+1024)}
	rm := otlp.AppendExportMetricsServiceRequest(&e).AddResourceMetrics()
	res := rm.SetResource()
	for a := range base.All() {
		appendAttribute(res.AddAttributes(), a)
	}
	res.Close()
	sm := rm.AddScopeMetrics()
	scope := sm.SetScope()
	scope.SetName(r.cfg.Name)
	scope.SetVersion(r.cfg.Version)
	scope.Close()
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(q point) bool { return q.id != list[0].id })
		if n < 0 {
			n = len(list)
		}
		r.metric(sm.AddMetrics(), list[:n])
		list = list[n:]
	}
	sm.Close()
	rm.Close()
	return append(make([]byte, 0, len(e.Buf)), e.Buf...) // it may wait
}

// metric writes points of one id.
func (r *OTLPReporter) metric(m otlp.MetricBuilder, list []point) {
	d := r.points.definitions[list[0].id]
	m.SetName(d.Name)
	m.SetDescription(d.Description)
	m.SetUnit(d.Unit)
	if d.Kind == Counter {
		sum := m.SetSum()
		for _, q := range list {
			p := sum.AddDataPoints()
			p.SetStartTimeUnixNano(r.points.begin(q))
			appendPoint(p, q)
		}
		sum.SetAggregationTemporality(otlp.AggregationTemporalityDelta)
		sum.SetIsMonotonic(true)
		sum.Close()
	} else {
		gauge := m.SetGauge()
		for _, q := range list {
			appendPoint(gauge.AddDataPoints(), q)
		}
		gauge.Close()
	}
	m.Close()
}

func appendPoint(p otlp.NumberDataPointBuilder, q point) {
	p.SetTimeUnixNano(q.time)
	p.SetAsInt(q.value)
	p.Close()
}

func appendAttribute(kv otlp.KeyValueBuilder, a libpf.Attribute) {
	kv.SetKey(a.Key)
	v := kv.SetValue()
	v.Raw([]byte(a.Value))
	v.Close()
	kv.Close()
}
