package chains

import (
	"bytes"
	"context"
	"math/rand/v2"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// requestsEach is how many requests TestBranches sends through each processor.
const requestsEach = 20

// A mutation in one branch of a fan-out is not seen in another: beside a branch with each
// processor in each configuration, the other branches get the request as it came, to the
// byte, whether they are called before it or after it.
func TestBranches(t *testing.T) {
	all := variants(t)
	changes := map[string]int{} // by type
	for _, s := range otlp.Signals() {
		rng := rand.New(rand.NewPCG(1, uint64(s)))
		for _, v := range all {
			if _, err := v.create(s); err != nil {
				continue
			}
			changes[v.typ] += tryBranches(t, s, v, rng)
			if t.Failed() {
				t.Fatalf("%s: %s %s", s, v.typ, v.settings)
			}
		}
	}
	for _, v := range all {
		if changes[v.typ] == 0 {
			t.Errorf("no request was changed by %s: the test tests nothing", v.typ)
		}
	}
}

// tryBranches returns how many requests the processor changed.
func tryBranches(t *testing.T, s otlp.Signal, v variant, rng *rand.Rand) (changes int) {
	t.Helper()
	p, err := v.create(s)
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := p.(pipeline.Component); ok {
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = p.Shutdown(context.Background()) }()
	}
	before, edited, again, after := &testkit.Sink{}, &testkit.Sink{}, &testkit.Sink{}, &testkit.Sink{}
	branch := func(next pipeline.Consumer) pipeline.Consumer {
		return pipeline.Chain(next, pipeline.Step{Name: v.typ, Processor: p})
	}
	fanout := pipeline.Fanout(before, branch(edited), branch(again), after)
	for range requestsEach {
		request := randomRequest(rng, s)
		for _, sink := range []*testkit.Sink{before, edited, again, after} {
			sink.Reset()
		}
		b := testkit.PooledBatch(t, s, request, nil)
		err := fanout.Consume(t.Context(), b)
		if !bytes.Equal(b.Bytes(), request) {
			t.Error("the request was changed")
		}
		b.Release()
		if err != nil {
			t.Error(err)
			return changes
		}
		for name, sink := range map[string]*testkit.Sink{"before": before, "after": after} {
			if got := sink.Requests(s); len(got) != 1 || !bytes.Equal(got[0], request) {
				t.Errorf("the branch %s the processor got other bytes", name)
			}
		}
		if got := edited.Requests(s); len(got) != 1 || !bytes.Equal(got[0], request) {
			changes++
		}
	}
	return changes
}
