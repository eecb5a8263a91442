package memorylimiterprocessor

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// The batch is passed on unchanged and not shared, the result is returned, and
// both series of its signal exist after the first request.
func TestPassesOnAndCounts(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			meter := testkit.NewMeter()
			p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{ID: "memory_limiter/2", Meter: meter})
			if err != nil {
				t.Fatal(err)
			}
			var last *pipeline.Batch // only for comparing
			no := errors.New("no")
			chain := pipeline.Chain(pipeline.ConsumerFunc(func(_ context.Context, b *pipeline.Batch) error { last = b; return no }),
				pipeline.Step{Name: "memory_limiter/2", Processor: p})
			if chain.Capabilities().MutatesData {
				t.Error("MutatesData is set")
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
					t.Error("got another batch, or one that is marked shared")
				}
				b.Release()
			}
			item := s.Spec().Item
			want := map[string]int64{
				"otelcol_processor_memory_limiter_accepted_" + item + "{processor=memory_limiter/2}": int64(items),
				"otelcol_processor_memory_limiter_refused_" + item + "{processor=memory_limiter/2}":  0,
			}
			if diff := cmp.Diff(want, meter.Sums(t)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
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
