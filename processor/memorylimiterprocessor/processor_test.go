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

var (
	_ pipeline.Consumer  = (*Processor)(nil)
	_ pipeline.Component = (*Processor)(nil)
	_ pipeline.Named     = (*Processor)(nil)
)

// The batch goes on untouched and unshared, the answer comes back, and both
// series of its signal exist after the first request.
func TestPassesOnAndCounts(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			meter, next, answer := testkit.NewMeter(), &testkit.Sink{}, errors.New("no")
			var passed *pipeline.Batch
			next.Respond(func(_ context.Context, b *pipeline.Batch) error { passed = b; return answer })
			p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{ID: "memory_limiter/2", Meter: meter}, next)
			if err != nil {
				t.Fatal(err)
			}
			if p.Name() != "memory_limiter/2" || p.Capabilities().MutatesData {
				t.Errorf("name %q, capabilities %+v", p.Name(), p.Capabilities())
			}
			for range 2 {
				if p.Start(t.Context()) != nil || p.Shutdown(t.Context()) != nil {
					t.Error("starting and stopping may be done twice")
				}
			}
			items := 0
			for range 3 {
				b, err := pipeline.NewBatch(s, testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 5), nil)
				if err != nil {
					t.Fatal(err)
				}
				items += b.Items()
				if err := p.Consume(t.Context(), b); err != answer {
					t.Errorf("got %v", err)
				}
				if passed != b || b.Shared() {
					t.Error("another batch, or one that is marked shared")
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
	p, err := New(Config{CheckInterval: 1, LimitMiB: 10}, component.Settings{}, &testkit.Sink{CountOnly: true})
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
