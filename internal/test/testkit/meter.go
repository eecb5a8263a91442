package testkit

import (
	"context"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// Meter is a meter provider whose metrics a test reads. Make it with NewMeter.
type Meter struct {
	metric.MeterProvider
	reader *sdkmetric.ManualReader
}

// NewMeter returns a meter without any metrics.
func NewMeter() *Meter {
	reader := sdkmetric.NewManualReader()
	return &Meter{sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), reader}
}

// Collect returns all metrics as the SDK has them.
func (m *Meter) Collect(t testing.TB) (rm metricdata.ResourceMetrics) {
	t.Helper()
	if err := m.reader.Collect(context.Background(), &rm); err != nil {
		t.Fatalf("collect the metrics: %v", err)
	}
	return rm
}

// Point is a value of a counter, an up-down counter or a gauge of integers.
type Point struct {
	Name string
	// Attributes are written "key=value", and sorted.
	Attributes []string
	Value      int64
}

// String returns the point's name and attributes: "name" or "name{k=v,k=v}".
func (p Point) String() string {
	if len(p.Attributes) == 0 {
		return p.Name
	}
	return p.Name + "{" + strings.Join(p.Attributes, ",") + "}"
}

// Has reports whether the point has all of these attributes, written "key=value".
func (p Point) Has(attributes ...string) bool {
	return !slices.ContainsFunc(attributes, func(a string) bool { return !slices.Contains(p.Attributes, a) })
}

// Points returns the values of all counters, up-down counters and gauges of
// integers, histograms left out.
func (m *Meter) Points(t testing.TB) (points []Point) {
	t.Helper()
	rm := m.Collect(t)
	for _, scope := range rm.ScopeMetrics {
		for _, of := range scope.Metrics {
			var data []metricdata.DataPoint[int64]
			switch d := of.Data.(type) {
			case metricdata.Sum[int64]:
				data = d.DataPoints
			case metricdata.Gauge[int64]:
				data = d.DataPoints
			}
			for _, p := range data {
				point := Point{Name: of.Name, Value: p.Value}
				for _, kv := range p.Attributes.ToSlice() {
					point.Attributes = append(point.Attributes, string(kv.Key)+"="+kv.Value.String())
				}
				points = append(points, point)
			}
		}
	}
	return points
}

// Sum returns the sum of the points of that name that have all of these
// attributes, written "key=value"; 0 if there are none.
func (m *Meter) Sum(t testing.TB, name string, attributes ...string) (sum int64) {
	t.Helper()
	for _, p := range m.Points(t) {
		if p.Name == name && p.Has(attributes...) {
			sum += p.Value
		}
	}
	return sum
}

// Sums returns the values by Point.String.
func (m *Meter) Sums(t testing.TB) map[string]int64 {
	t.Helper()
	sums := map[string]int64{}
	for _, p := range m.Points(t) {
		sums[p.String()] += p.Value
	}
	return sums
}
