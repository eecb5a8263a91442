package service

import (
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A service that has ended, or was never made, measures nothing with the meter that
// it was given.
func TestEndedServiceMeasuresNothing(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	meter := metric.NewMeterProvider(metric.WithReader(reader))
	for _, out := range []string{"out: ", "out: {fail_new: no}"} {
		f := newFakes()
		s, err := New(f.config(t, "receivers: {in: }\nexporters: {"+out+"}\nservice: {pipelines: {logs: {receivers: [in], exporters: [out]}}}\n"), Options{Meter: meter})
		if err == nil {
			err = s.Start(t.Context())
			if n := admissionSeries(t, reader); n == 0 {
				t.Error("a running service does not measure its memory budget")
			}
			if err != nil || s.Shutdown(t.Context()) != nil {
				t.Error("start and shut down: ", err)
			}
		}
		if n := admissionSeries(t, reader); n != 0 {
			t.Errorf("%s: %d series of the memory budget are left", out, n)
		}
	}
}

// admissionSeries counts the points of gauges of the memory budget.
func admissionSeries(t *testing.T, r metric.Reader) (n int) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			if g, ok := m.Data.(metricdata.Gauge[int64]); ok && m.Name == "otelcol_admission_limit_bytes" {
				n += len(g.DataPoints)
			}
		}
	}
	return n
}
