package push

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// recorded returns the metrics of one of each instrument, by name.
func recorded(t *testing.T, c OTLPConfig) map[string]*metricspb.Metric {
	t.Helper()
	m := NewMetrics(&Config{OTLP: &c}, 1, 1)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(m.Reader), sdkmetric.WithResource(sdkresource.NewSchemaless(attribute.String("r", "s"))))
	t.Cleanup(func() { _ = provider.Shutdown(t.Context()) })
	meter := provider.Meter("scope", metric.WithInstrumentationVersion("1"), metric.WithInstrumentationAttributes(attribute.Bool("sa", true)))
	attrs := metric.WithAttributes(attribute.Int64Slice("list", []int64{1, 2}), attribute.Float64("f", 1.5), attribute.String("s", "t"))
	counter, _ := meter.Int64Counter("counter", metric.WithUnit("By"), metric.WithDescription("d"))
	upDown, _ := meter.Float64UpDownCounter("updown")
	gauge, _ := meter.Float64Gauge("gauge")
	histogram, _ := meter.Int64Histogram("histogram", metric.WithExplicitBucketBoundaries(1, 10))
	_, err := meter.Int64ObservableCounter("observed", metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
		o.Observe(7)
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 3, attrs)
	upDown.Add(t.Context(), -2.5)
	gauge.Record(t.Context(), 4)
	for _, v := range []int64{0, 5, 50} {
		histogram.Record(t.Context(), v)
	}
	var now metricdata.ResourceMetrics
	if err := m.Reader.Collect(t.Context(), &now); err != nil {
		t.Fatal(err)
	}
	request := MetricsRequest(&now)
	if _, err := otlp.Check(otlp.Metrics, request); err != nil {
		t.Fatal(err)
	}
	var got colmetricspb.ExportMetricsServiceRequest
	if err := proto.Unmarshal(request, &got); err != nil {
		t.Fatal(err)
	}
	sm := got.ResourceMetrics[0].ScopeMetrics[0]
	if sm.Scope.Name != "scope" || sm.Scope.Version != "1" || len(sm.Scope.Attributes) != 1 || len(got.ResourceMetrics[0].Resource.Attributes) != 1 {
		t.Errorf("resource %v, scope %v", got.ResourceMetrics[0].Resource, sm.Scope)
	}
	all := map[string]*metricspb.Metric{}
	for _, m := range sm.Metrics {
		all[m.Name] = m
	}
	return all
}

func TestEveryKindOfMetric(t *testing.T) {
	all := recorded(t, OTLPConfig{})
	counter := all["counter"].GetSum()
	if p := counter.GetDataPoints()[0]; all["counter"].Unit != "By" || all["counter"].Description != "d" || !counter.IsMonotonic || p.GetAsInt() != 3 ||
		p.TimeUnixNano < p.StartTimeUnixNano || p.StartTimeUnixNano == 0 || len(p.Attributes) != 3 || !strings.Contains(p.String(), "array_value") {
		t.Errorf("counter %v", all["counter"])
	}
	if s := all["updown"].GetSum(); s.IsMonotonic || s.DataPoints[0].GetAsDouble() != -2.5 {
		t.Errorf("updown %v", s)
	}
	if g := all["gauge"].GetGauge(); g.DataPoints[0].GetAsDouble() != 4 {
		t.Errorf("gauge %v", g)
	}
	p := all["histogram"].GetHistogram().GetDataPoints()[0]
	if p.Count != 3 || p.GetSum() != 55 || p.GetMin() != 0 || p.GetMax() != 50 || len(p.BucketCounts) != 3 || p.BucketCounts[1] != 1 || p.ExplicitBounds[1] != 10 {
		t.Errorf("histogram %v", p)
	}
	for name, m := range all {
		if got := temporalityIn(m); got != 0 && got != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
			t.Errorf("%s is %s", name, got)
		}
	}
}

func temporalityIn(m *metricspb.Metric) metricspb.AggregationTemporality {
	switch d := m.Data.(type) {
	case *metricspb.Metric_Sum:
		return d.Sum.AggregationTemporality
	case *metricspb.Metric_Histogram:
		return d.Histogram.AggregationTemporality
	case *metricspb.Metric_ExponentialHistogram:
		return d.ExponentialHistogram.AggregationTemporality
	}
	return 0
}

func TestTemporalityAndHistogramAggregation(t *testing.T) {
	const delta = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA
	for preference, want := range map[string]map[string]bool{
		"delta":      {"counter": true, "observed": true, "histogram": true},
		"lowmemory":  {"counter": true, "histogram": true},
		"cumulative": {},
	} {
		all := recorded(t, OTLPConfig{TemporalityPreference: preference, DefaultHistogramAggregation: exponentialBuckets})
		for name, m := range all {
			if got := temporalityIn(m) == delta; got != want[name] {
				t.Errorf("%s: %s is delta: %v", preference, name, got)
			}
		}
	}
	exp := recorded(t, OTLPConfig{DefaultHistogramAggregation: exponentialBuckets})["histogram"]
	p := exp.GetExponentialHistogram().GetDataPoints()[0]
	if p.Count != 3 || p.ZeroCount != 1 || p.GetSum() != 55 || len(p.Positive.BucketCounts) == 0 || p.GetMax() != 50 {
		t.Errorf("exponential histogram %v", p)
	}
}
