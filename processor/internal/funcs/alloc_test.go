package funcs_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl"
)

// TestAllocations: nothing is allocated for each metric.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are counted without the race detector")
	}
	const metrics = 300
	for _, c := range []struct{ metric, statement string }{
		{sum, `convert_sum_to_gauge()`}, {gauge, `convert_gauge_to_sum("delta", true)`}, {histogram, `scale_metric(2.0)`},
		{histogram, `aggregate_on_attributes("sum", ["a"])`}, {exponential, `aggregate_on_attributes("sum", [])`},
		{exponential, `convert_exponential_histogram_to_histogram("upper", [1.0, 2.0])`},
	} {
		scope := &metricspb.ScopeMetrics{}
		for range metrics {
			scope.Metrics = append(scope.Metrics, metricOf(t, c.metric))
		}
		request, err := proto.Marshal(&collectorpb.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{{ScopeMetrics: []*metricspb.ScopeMetrics{scope}}}})
		if err != nil {
			t.Fatal(err)
		}
		items, err := otlp.Check(otlp.Metrics, request)
		if err != nil {
			t.Fatal(err)
		}
		pass := otlpedit.NewPass(plansOf(t, otlp.Metrics, "metric", ottl.Propagate, nil, c.statement)[0])
		mem := &testkit.ReusedMemory{}
		run := func() {
			if v, _, err := pass.Run(otlp.Metrics, request, items, mem); err != nil || v != otlpedit.Replace {
				t.Fatal(v, err)
			}
		}
		run()
		if n := testing.AllocsPerRun(5, run); n > metrics/10 {
			t.Errorf("%s: %v allocations for %d metrics", c.statement, n, metrics)
		}
	}
}
