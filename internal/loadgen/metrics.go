package loadgen

import (
	"fmt"
	"math"
	"time"

	"github.com/penstock-telemetry/penstock/otlp"
)

func writeMetrics(a *author) {
	request := otlp.AppendExportMetricsServiceRequest(&a.e)
	for i, scopes := range a.layout() {
		h := a.scene().hosts[i]
		rm := request.AddResourceMetrics()
		r := rm.SetResource()
		a.attributes(r, h.resource)
		r.Close()
		for j, points := range scopes {
			sm := rm.AddScopeMetrics()
			scope := sm.SetScope()
			scope.SetName(h.logger(j))
			scope.SetVersion("0.62.0")
			scope.Close()
			a.metrics(sm, points)
			sm.SetSchemaURL(schemaURL)
			sm.Close()
		}
		rm.SetSchemaURL(schemaURL)
		rm.Close()
	}
	request.Close()
}

// instrument is a metric of the shop. Its points in a scope have different attributes.
type instrument struct {
	name, unit, description string
	data                    func(*author, otlp.MetricBuilder, points)
	series                  func(i int) []attr
}

func instruments() []instrument {
	return []instrument{
		{"http.server.request.duration", "s", "Duration of HTTP server requests.", (*author).histogram, serverSeries},
		{"http.server.active_requests", "{request}", "Number of active HTTP server requests.", upDownCounter, serverSeries},
		{"http.server.request.body.size", "By", "Size of HTTP server request bodies.", (*author).exponentialHistogram, serverSeries},
		{"process.cpu.time", "s", "Total CPU seconds by mode.", counter, hostSeries},
		{"system.cpu.utilization", "1", "CPU utilization by logical CPU.", (*author).gauge, hostSeries},
		{"db.client.operation.duration", "s", "Duration of database client operations.", (*author).exponentialHistogram, databaseSeries},
		{"rpc_durations_seconds", "s", "Duration of remote calls.", (*author).summary, databaseSeries},
		{"system.network.io", "By", "Bytes sent and received.", counter, hostSeries},
	}
}

// metrics writes n points, in few metrics.
func (a *author) metrics(to otlp.ScopeMetricsBuilder, n int) {
	all := instruments()
	first := a.IntN(len(all))
	for i := range min(n, len(all)) {
		in := all[(first+i)%len(all)]
		m := to.AddMetrics()
		m.SetName(in.name)
		m.SetDescription(in.description)
		m.SetUnit(in.unit)
		share := n / len(all)
		if i < n%len(all) {
			share++
		}
		in.data(a, m, points{n: share, series: in.series, start: a.now - a.between(time.Minute, 48*time.Hour)})
		m.Close()
	}
}

// points has the points of one metric.
type points struct {
	n      int
	series func(i int) []attr
	start  uint64
}

func (a *author) gauge(m otlp.MetricBuilder, p points) {
	data := m.SetGauge()
	for i := range p.n {
		begin := len(a.e.Buf)
		b := data.AddDataPoints()
		b.SetTimeUnixNano(a.now)
		b.SetAsDouble(a.Float64())
		a.fit(begin, b, p.series(i))
		b.Close()
	}
	data.Close()
}

func counter(a *author, m otlp.MetricBuilder, p points)       { a.sum(m, p, true) }
func upDownCounter(a *author, m otlp.MetricBuilder, p points) { a.sum(m, p, false) }

func (a *author) sum(m otlp.MetricBuilder, p points, monotonic bool) {
	data := m.SetSum()
	data.SetAggregationTemporality(otlp.AggregationTemporalityCumulative)
	data.SetIsMonotonic(monotonic)
	for i := range p.n {
		begin := len(a.e.Buf)
		b := data.AddDataPoints()
		b.SetStartTimeUnixNano(p.start)
		b.SetTimeUnixNano(a.now)
		if monotonic {
			b.SetAsDouble(a.Float64() * 1e6)
			a.growsByFloat(1 + a.Float64()*100)
		} else {
			b.SetAsInt(a.Int64N(200))
		}
		a.fit(begin, b, p.series(i))
		b.Close()
	}
	data.Close()
}

// durationBounds are the bucket bounds of the semantic conventions.
var durationBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}

func (a *author) histogram(m otlp.MetricBuilder, p points) {
	data := m.SetHistogram()
	data.SetAggregationTemporality(otlp.AggregationTemporalityCumulative)
	for i := range p.n {
		begin := len(a.e.Buf)
		b := data.AddDataPoints()
		b.SetStartTimeUnixNano(p.start)
		b.SetTimeUnixNano(a.now)
		counts, deltas := make([]uint64, len(durationBounds)+1), make([]uint64, len(durationBounds)+1)
		for j := range durationBounds {
			counts[j], deltas[j] = 1+a.Uint64N(1000), a.Uint64N(10)
		}
		count, sum := totals(counts)
		countDelta, sumDelta := totals(deltas)
		b.SetCount(count)
		a.growsBy(countDelta)
		b.SetSum(sum)
		a.growsByFloat(sumDelta)
		b.AddBucketCounts(counts...)
		a.growsBy(deltas...)
		b.AddExplicitBounds(durationBounds...)
		if a.oneIn(4) && a.roomy(60) {
			a.exemplar(b.AddExemplars(), a.Float64()*durationBounds[len(durationBounds)-1])
		}
		a.fit(begin, b, p.series(i))
		b.Close()
	}
	data.Close()
}

// totals returns the count and the sum of values in the buckets of durationBounds, which
// are all at four fifths of the upper bound.
func totals(counts []uint64) (count uint64, sum float64) {
	for i, bound := range durationBounds {
		count += counts[i]
		sum += float64(counts[i]) * bound * 0.8
	}
	return count, sum
}

// exemplar writes an exemplar of a span.
func (a *author) exemplar(b otlp.ExemplarBuilder, value float64) {
	b.SetTimeUnixNano(a.now - a.between(0, 10*time.Second))
	b.SetAsDouble(value)
	s := pick(a, a.scene().spans)
	b.SetSpanID(s.id)
	b.SetTraceID(s.trace)
	b.Close()
}

const (
	exponentialScale = 3
	deltaInterval    = 10 * time.Second
)

// exponentialHistogram writes deltas: the counts of buckets are varints, which do not
// grow in place.
func (a *author) exponentialHistogram(m otlp.MetricBuilder, p points) {
	data := m.SetExponentialHistogram()
	data.SetAggregationTemporality(otlp.AggregationTemporalityDelta)
	for i := range p.n {
		begin := len(a.e.Buf)
		b := data.AddDataPoints()
		b.SetStartTimeUnixNano(a.now - uint64(deltaInterval))
		b.SetTimeUnixNano(a.now)
		counts := make([]uint64, 10+a.IntN(60))
		zeros := a.Uint64N(10)
		count, offset, sum := zeros, a.IntN(40)-60, 0.0
		middle := func(j int) float64 { return math.Exp2((float64(offset+j) + 0.5) / (1 << exponentialScale)) }
		for j := range counts {
			counts[j] = a.Uint64N(200)
			count += counts[j]
			sum += float64(counts[j]) * middle(j)
		}
		b.SetCount(count)
		b.SetSum(sum)
		b.SetScale(exponentialScale)
		b.SetZeroCount(zeros)
		buckets := b.SetPositive()
		buckets.SetOffset(int32(offset))
		buckets.AddBucketCounts(counts...)
		buckets.Close()
		if a.oneIn(4) && a.roomy(60) {
			a.exemplar(b.AddExemplars(), middle(a.IntN(len(counts))))
		}
		a.fit(begin, b, p.series(i))
		b.Close()
	}
	data.Close()
}

func (a *author) summary(m otlp.MetricBuilder, p points) {
	data := m.SetSummary()
	for i := range p.n {
		begin := len(a.e.Buf)
		b := data.AddDataPoints()
		b.SetStartTimeUnixNano(p.start)
		b.SetTimeUnixNano(a.now)
		count, countDelta, median := 1+a.Uint64N(1e6), 1+a.Uint64N(100), (1+a.Float64())*0.02
		b.SetCount(count)
		a.growsBy(countDelta)
		b.SetSum(float64(count) * median)
		a.growsByFloat(float64(countDelta) * median)
		for _, q := range []struct{ quantile, of float64 }{{0, 0.1}, {0.5, 1}, {0.9, 2}, {0.99, 5}, {1, 9}} {
			v := b.AddQuantileValues()
			v.SetQuantile(q.quantile)
			v.SetValue(median * q.of)
			v.Close()
		}
		a.fit(begin, b, p.series(i))
		b.Close()
	}
	data.Close()
}

// A series returns the attributes of point i of a metric: i in a number system whose
// digits are the values of attributes, so that they differ for different i.

func serverSeries(i int) []attr {
	method, i := methods[i%len(methods)], i/len(methods)
	route, i := routes[i%len(routes)], i/len(routes)
	return numbered("server.address", i, []attr{
		{"http.request.method", method}, {"http.route", route},
		{"url.scheme", "https"}, {"network.protocol.name", "http"}, {"network.protocol.version", "2"},
	})
}

func databaseSeries(i int) []attr {
	system, i := databases[i%len(databases)], i/len(databases)
	table, i := tables[i%len(tables)], i/len(tables)
	return numbered("server.address", i, []attr{
		{"db.system.name", system}, {"db.collection.name", table}, {"db.namespace", "shop"}, {"db.operation.name", "SELECT"},
	})
}

func hostSeries(i int) []attr {
	modes := []string{"user", "system", "idle", "iowait"}
	mode, i := modes[i%len(modes)], i/len(modes)
	return numbered("host.name", i, []attr{{"cpu.mode", mode}, {"cpu.logical_number", i % 16}})
}

func numbered(key string, i int, attrs []attr) []attr {
	return append(attrs, attr{key, fmt.Sprintf("host-%d.internal", i)})
}
