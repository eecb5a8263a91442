package resourceprocessor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// observer looks at the state after a step. Timed keeps a chain from fusing.
type observer struct {
	timed bool
	after func(in, out int)
}

func (o observer) Timed() bool { return o.timed }
func (o observer) Processed(_ context.Context, _ otlp.Signal, in, out int, _ time.Duration) {
	o.after(in, out)
}

// Any row of resource processors does to the byte the same in one pass as one by
// one, and is counted alike.
func TestFusedEqualsOneByOne(t *testing.T) {
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewSource(int64(s)))
			changed := 0
			for range 150 {
				request := testkit.Random{Rand: rng, Tables: rng.Intn(9)}.Request(s)
				var actions [][]Action
				for range 2 + rng.Intn(4) {
					actions = append(actions, plans[rng.Intn(len(plans))])
				}
				fused, counts := through(t, s, request, false, actions)
				apart, countsApart := through(t, s, request, true, actions)
				if !bytes.Equal(fused, apart) {
					t.Fatalf("%+v:\nfused %x\napart %x", actions, fused, apart)
				}
				if counts != countsApart {
					t.Fatalf("counted %s, apart %s", counts, countsApart)
				}
				if !bytes.Equal(fused, request) {
					changed++
				}
			}
			if changed < 40 {
				t.Errorf("%d requests were changed: the test tests little", changed)
			}
		})
	}
}

func through(t *testing.T, s otlp.Signal, request []byte, apart bool, actions [][]Action) (result []byte, counts string) {
	t.Helper()
	var steps []pipeline.Step
	for _, a := range actions {
		st := chainStep(t, a...)
		st.Observer = observer{apart, func(in, out int) { counts += fmt.Sprintf("%d→%d ", in, out) }}
		steps = append(steps, st)
	}
	next := &testkit.Sink{}
	b := newBatch(t, s, bytes.Clone(request))
	defer b.Release()
	if err := pipeline.Chain(next, steps...).Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	return next.Requests(s)[0], counts
}

// Four processors over a request of 1 MB hold the original and at most two
// derived copies at any moment, one of them at the end of the chain; in one pass
// there is but one. All of it is on the request's ticket.
func TestFourProcessorsOverAMegabyte(t *testing.T) {
	for _, apart := range []bool{false, true} {
		t.Run(fmt.Sprintf("apart=%v", apart), func(t *testing.T) {
			budget := admission.New(admission.Config{Bytes: 64 << 20})
			live := pipeline.Live()
			request := traces(2600, "service.name", "cart")
			if len(request) < 1<<20 {
				t.Fatalf("the request has %d bytes", len(request))
			}
			buf := pipeline.NewBuffer(len(request))
			buf.Bytes = append(buf.Bytes, request...)
			ticket, err := budget.Acquire(t.Context(), "a client", cap(buf.Bytes))
			if err != nil {
				t.Fatal(err)
			}
			b, err := pipeline.NewPooledBatch(otlp.Traces, buf, nil)
			buf.Release()
			if err != nil {
				t.Fatal(err)
			}
			b.Hold(ticket)
			one := int64(cap(b.Bytes()))

			var steps []pipeline.Step
			for i := range 4 {
				st := chainStep(t, Action{Key: fmt.Sprint("k", i), Action: "upsert", Value: "v"})
				st.Observer = observer{apart, func(int, int) {
					// The step's result is there, and its predecessor not yet released.
					want := one * (pipeline.Live() - live)
					if batches := pipeline.Live() - live; batches > 3 || budget.Stats().Used != want {
						t.Errorf("after step %d: %d batches, %d bytes on the ticket, want %d", i, batches, budget.Stats().Used, want)
					}
				}}
				steps = append(steps, st)
			}
			var kept *pipeline.Batch
			next := pipeline.ConsumerFunc(func(_ context.Context, d *pipeline.Batch) error {
				kept = d.Retain()
				if batches, used := pipeline.Live()-live, budget.Stats().Used; batches != 2 || used != 2*one {
					t.Errorf("at the end of the chain: %d batches, %d bytes on the ticket, want the original and one of %d each", batches, used, one)
				}
				return nil
			})
			if err := pipeline.Chain(next, steps...).Consume(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			want := 2 * one
			if apart {
				want = 3 * one
			}
			if peak := budget.Stats().Peak; peak != want {
				t.Errorf("%d bytes at the most, want %d", peak, want)
			}
			b.Release()
			if used := budget.Stats().Used; used != one {
				t.Errorf("%d bytes on the ticket of what an exporter retains, want %d", used, one)
			}
			if got, want := attributesOf(otlp.Traces, kept.Bytes()), "service.name=cart k0=v k1=v k2=v k3=v"; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			kept.Release()
			if s := budget.Stats(); s.Used != 0 || s.Admitted != 0 || pipeline.Live() != live {
				t.Errorf("left: %+v, %d batches", s, pipeline.Live()-live)
			}
		})
	}
}

func BenchmarkChain1000Spans(b *testing.B) {
	next := pipeline.ConsumerFunc(func(context.Context, *pipeline.Batch) error { return nil })
	for _, n := range []int{1, 4} {
		for _, apart := range []bool{false, true} {
			b.Run(fmt.Sprintf("processors=%d/apart=%v", n, apart), func(b *testing.B) {
				var steps []pipeline.Step
				for i := range n {
					st := chainStep(b, Action{Key: fmt.Sprint("k", i), Action: "upsert", Value: "staging"}, Action{Key: "host.ip", Action: "delete"})
					st.Observer = observer{apart, func(int, int) {}}
					steps = append(steps, st)
				}
				c := pipeline.Chain(next, steps...)
				batch := newBatch(b, otlp.Traces, traces(1000, "service.name", "cart", "host.ip", "10.0.0.7"))
				defer batch.Release()
				b.SetBytes(int64(len(batch.Bytes())))
				b.ReportAllocs()
				for b.Loop() {
					if err := c.Consume(context.Background(), batch); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
