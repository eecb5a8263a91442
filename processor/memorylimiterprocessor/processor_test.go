package memorylimiterprocessor

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The batch goes on untouched and unshared, the answer comes back, and both
// series of its signal exist after the first request.
func TestPassesOnAndCounts(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{
				ID: "memory_limiter/2", Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			})
			if err != nil {
				t.Fatal(err)
			}
			var last *pipeline.Batch // good only for comparing
			no := errors.New("no")
			chain := pipeline.Chain(pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error { last = b; return no }),
				pipeline.Step{Name: "memory_limiter/2", Processor: p})
			if chain.Capabilities().MutatesData {
				t.Error("it says that it edits in place")
			}
			items := 0
			for range 3 {
				b, err := pipeline.NewBatch(s, testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 5), nil)
				if err != nil {
					t.Fatal(err)
				}
				items += b.Items()
				if err := chain.Consume(t.Context(), b); err != no {
					t.Errorf("got %v", err)
				}
				if last != b || b.Shared() {
					t.Error("another batch, or one that is marked shared")
				}
				b.Release()
			}
			item := s.Spec().Item
			want := map[string]int64{
				"otelcol_processor_memory_limiter_accepted_" + item + "{memory_limiter/2}": int64(items),
				"otelcol_processor_memory_limiter_refused_" + item + "{memory_limiter/2}":  0,
			}
			if diff := cmp.Diff(want, collect(t, reader)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func collect(t *testing.T, reader sdkmetric.Reader) map[string]int64 {
	t.Helper()
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, sm := range rm.ScopeMetrics {
		for _, m := range sm.Metrics {
			for _, p := range m.Data.(metricdata.Sum[int64]).DataPoints {
				id, _ := p.Attributes.Value("processor")
				got[m.Name+"{"+id.AsString()+"}"] = p.Value
			}
		}
	}
	return got
}

func TestCostsNothing(t *testing.T) {
	p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(otlp.Signals()[0], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = p.Process(ctx, b) }); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}
