package push

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/otlp"
)

// The values of default_histogram_aggregation.
const (
	explicitBuckets    = "explicit_bucket_histogram"
	exponentialBuckets = "base2_exponential_bucket_histogram"
)

// Metrics pushes metrics at intervals from Start to Shutdown.
type Metrics struct {
	Reader            *sdkmetric.ManualReader // for the provider
	interval, timeout time.Duration
	now               *pushing // from Start
}

// pushing is a loop with its destination.
type pushing struct {
	reader  *sdkmetric.ManualReader
	to      *Destination
	timeout time.Duration
	stop    chan struct{}
	cancel  context.CancelFunc // interrupts a push
	loop    sync.WaitGroup
}

// NewMetrics creates a reader. It starts nothing.
func NewMetrics(c *Config, interval, timeout time.Duration) *Metrics {
	opts := []sdkmetric.ManualReaderOption{}
	if o := c.OTLP; o != nil {
		opts = append(opts, sdkmetric.WithTemporalitySelector(temporality(o.TemporalityPreference)))
		if o.DefaultHistogramAggregation == exponentialBuckets {
			opts = append(opts, sdkmetric.WithAggregationSelector(exponential))
		}
	}
	return &Metrics{Reader: sdkmetric.NewManualReader(opts...), interval: interval, timeout: timeout}
}

func exponential(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	if k == sdkmetric.InstrumentKindHistogram {
		return sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}
	}
	return sdkmetric.DefaultAggregationSelector(k)
}

// temporality follows the specification of OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE.
func temporality(preference string) sdkmetric.TemporalitySelector {
	return func(k sdkmetric.InstrumentKind) metricdata.Temporality {
		delta := false
		switch k {
		case sdkmetric.InstrumentKindCounter, sdkmetric.InstrumentKindHistogram:
			delta = preference == "delta" || preference == "lowmemory"
		case sdkmetric.InstrumentKindObservableCounter:
			delta = preference == "delta"
		}
		if delta {
			return metricdata.DeltaTemporality
		}
		return metricdata.CumulativeTemporality
	}
}

// Start starts to push.
func (m *Metrics) Start(to *Destination) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &pushing{reader: m.Reader, to: to, timeout: m.timeout, stop: make(chan struct{}), cancel: cancel}
	m.now = p
	interval := m.interval
	p.loop.Go(func() {
		t := time.NewTicker(interval)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				p.push(ctx)
			case <-p.stop:
				return
			}
		}
	})
}

// Replace pushes to another destination and at other times from now on. end waits for a
// push that is in progress, and closes the previous destination.
func (m *Metrics) Replace(to *Destination, interval, timeout time.Duration) (end func() error) {
	previous := m.now
	m.interval, m.timeout = interval, timeout
	m.Start(to)
	return func() error {
		close(previous.stop)
		previous.loop.Wait()
		previous.cancel()
		return previous.to.Close()
	}
}

// SameReader reports whether the reader of a is also that of b.
func SameReader(a, b *Config) bool {
	return a.temporality() == b.temporality() && a.histograms() == b.histograms()
}

func (c *Config) temporality() string {
	if c.OTLP == nil {
		return ""
	}
	return c.OTLP.TemporalityPreference
}

func (c *Config) histograms() string {
	if c.OTLP == nil {
		return ""
	}
	return c.OTLP.DefaultHistogramAggregation
}

// push sends the current values.
func (p *pushing) push(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var now metricdata.ResourceMetrics
	if err := p.reader.Collect(ctx, &now); err != nil && !errors.Is(err, sdkmetric.ErrReaderShutdown) {
		p.to.log.Warn("reading own metrics failed", "destination", p.to.name, "error", err)
		return
	}
	p.to.send(ctx, otlp.Metrics, MetricsRequest(&now))
}

// Shutdown ends the loop, sends the last values, and closes the connections.
func (m *Metrics) Shutdown(ctx context.Context) error {
	p := m.now
	if p == nil {
		return nil
	}
	close(p.stop)
	p.cancel()
	p.loop.Wait()
	p.push(ctx)
	return p.to.Close()
}

// MetricsRequest returns metrics as a request; nil if there are none.
func MetricsRequest(now *metricdata.ResourceMetrics) []byte {
	if len(now.ScopeMetrics) == 0 {
		return nil
	}
	var e otlp.Encoder
	request := otlp.AppendExportMetricsServiceRequest(&e)
	rm := request.AddResourceMetrics()
	writeResource(rm.SetResource(), now.Resource)
	for _, scope := range now.ScopeMetrics {
		sm := rm.AddScopeMetrics()
		writeScope(sm.SetScope(), scope.Scope)
		for _, metric := range scope.Metrics {
			m := sm.AddMetrics()
			m.SetName(metric.Name)
			m.SetDescription(metric.Description)
			m.SetUnit(metric.Unit)
			writeData(m, metric.Data)
			m.Close()
		}
		sm.Close()
	}
	rm.Close()
	request.Close()
	return e.Buf
}

func writeData(m otlp.MetricBuilder, data metricdata.Aggregation) {
	switch d := data.(type) {
	case metricdata.Gauge[int64]:
		writeGauge(m, d)
	case metricdata.Gauge[float64]:
		writeGauge(m, d)
	case metricdata.Sum[int64]:
		writeSum(m, d)
	case metricdata.Sum[float64]:
		writeSum(m, d)
	case metricdata.Histogram[int64]:
		writeHistogram(m, d)
	case metricdata.Histogram[float64]:
		writeHistogram(m, d)
	case metricdata.ExponentialHistogram[int64]:
		writeExponential(m, d)
	case metricdata.ExponentialHistogram[float64]:
		writeExponential(m, d)
	}
}

func temporalityOf(t metricdata.Temporality) otlp.AggregationTemporality {
	if t == metricdata.DeltaTemporality {
		return otlp.AggregationTemporalityDelta
	}
	return otlp.AggregationTemporalityCumulative
}

func writeGauge[N int64 | float64](m otlp.MetricBuilder, d metricdata.Gauge[N]) {
	g := m.SetGauge()
	for _, p := range d.DataPoints {
		writeNumber(g.AddDataPoints(), p)
	}
	g.Close()
}

func writeSum[N int64 | float64](m otlp.MetricBuilder, d metricdata.Sum[N]) {
	s := m.SetSum()
	for _, p := range d.DataPoints {
		writeNumber(s.AddDataPoints(), p)
	}
	s.SetAggregationTemporality(temporalityOf(d.Temporality))
	s.SetIsMonotonic(d.IsMonotonic)
	s.Close()
}

func writeNumber[N int64 | float64](b otlp.NumberDataPointBuilder, p metricdata.DataPoint[N]) {
	writeSet(b, p.Attributes)
	b.SetStartTimeUnixNano(nanos(p.StartTime))
	b.SetTimeUnixNano(nanos(p.Time))
	switch v := any(p.Value).(type) {
	case int64:
		b.SetAsInt(v)
	case float64:
		b.SetAsDouble(v)
	}
	b.Close()
}

func writeHistogram[N int64 | float64](m otlp.MetricBuilder, d metricdata.Histogram[N]) {
	h := m.SetHistogram()
	for _, p := range d.DataPoints {
		b := h.AddDataPoints()
		writeTotals(b, p.Attributes, p.StartTime, p.Time, p.Count, float64(p.Sum))
		b.AddBucketCounts(p.BucketCounts...)
		b.AddExplicitBounds(p.Bounds...)
		writeExtrema(b, p.Min, p.Max)
		b.Close()
	}
	h.SetAggregationTemporality(temporalityOf(d.Temporality))
	h.Close()
}

func writeExponential[N int64 | float64](m otlp.MetricBuilder, d metricdata.ExponentialHistogram[N]) {
	h := m.SetExponentialHistogram()
	for _, p := range d.DataPoints {
		b := h.AddDataPoints()
		writeTotals(b, p.Attributes, p.StartTime, p.Time, p.Count, float64(p.Sum))
		b.SetScale(p.Scale)
		b.SetZeroCount(p.ZeroCount)
		b.SetZeroThreshold(p.ZeroThreshold)
		writeBuckets(b.SetPositive(), p.PositiveBucket)
		writeBuckets(b.SetNegative(), p.NegativeBucket)
		writeExtrema(b, p.Min, p.Max)
		b.Close()
	}
	h.SetAggregationTemporality(temporalityOf(d.Temporality))
	h.Close()
}

// writeTotals writes what the points of both kinds of histograms have.
func writeTotals(b interface {
	hasAttributes
	SetStartTimeUnixNano(uint64)
	SetTimeUnixNano(uint64)
	SetCount(uint64)
	SetSum(float64)
}, set attribute.Set, start, end time.Time, count uint64, sum float64) {
	writeSet(b, set)
	b.SetStartTimeUnixNano(nanos(start))
	b.SetTimeUnixNano(nanos(end))
	b.SetCount(count)
	b.SetSum(sum)
}

func writeBuckets(b otlp.ExponentialHistogramDataPointBucketsBuilder, from metricdata.ExponentialBucket) {
	b.SetOffset(from.Offset)
	b.AddBucketCounts(from.Counts...)
	b.Close()
}

func writeExtrema[N int64 | float64](b interface {
	SetMin(float64)
	SetMax(float64)
}, lowest, highest metricdata.Extrema[N]) {
	if v, ok := lowest.Value(); ok {
		b.SetMin(float64(v))
	}
	if v, ok := highest.Value(); ok {
		b.SetMax(float64(v))
	}
}
