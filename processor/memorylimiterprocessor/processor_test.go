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

var (
	_ pipeline.Consumer  = (*Processor)(nil)
	_ pipeline.Component = (*Processor)(nil)
	_ pipeline.Named     = (*Processor)(nil)
)

// sink records pointers to batches, only for comparing.
type sink struct {
	got []*pipeline.Batch
	err error
}

func (s *sink) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (s *sink) Consume(_ context.Context, b *pipeline.Batch) error {
	s.got = append(s.got, b)
	return s.err
}

// The batch is passed on unchanged and not shared, the result is returned, and
// both series of its signal exist after the first request.
func TestPassesOnAndCounts(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			reader := sdkmetric.NewManualReader()
			next := &sink{err: errors.New("no")}
			p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{
				ID: "memory_limiter/2", Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)),
			}, next)
			if err != nil {
				t.Fatal(err)
			}
			if p.Name() != "memory_limiter/2" || p.Capabilities().MutatesData {
				t.Errorf("name %q, capabilities %+v", p.Name(), p.Capabilities())
			}
			for range 2 {
				if p.Start(t.Context()) != nil || p.Shutdown(t.Context()) != nil {
					t.Error("a second Start or Shutdown returned an error")
				}
			}
			items := 0
			for range 3 {
				b, err := pipeline.NewBatch(s, testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 5), nil)
				if err != nil {
					t.Fatal(err)
				}
				items += b.Items()
				if err := p.Consume(t.Context(), b); err != next.err {
					t.Errorf("got %v", err)
				}
				if len(next.got) == 0 || next.got[len(next.got)-1] != b || b.Shared() {
					t.Error("got another batch, or one that is marked shared")
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
	p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{}, &sink{got: make([]*pipeline.Batch, 0, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(otlp.Signals()[0], nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _ = p.Consume(ctx, b) }); n > 0 {
		t.Errorf("%v allocations a request", n)
	}
}
