package collectionagentreceiver

import (
	"context"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	_ component.Retirer = (*Receiver)(nil)
	_ component.Rewirer = (*Receiver)(nil)
	_ component.Settler = (*Receiver)(nil)
)

// What a session holds goes to the consumers that it began with. What comes afterwards
// goes to the next ones, with all stacks.
func TestRewire(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	out := startReporter(t, r.addr())
	reportKnown(t, out)
	countKnown(out)
	testkit.Eventually(t, "the agent has all", func() bool { return out.Stats().CountsForTraces.Acknowledged == knownTraces })
	var next testkit.Sink
	to := map[otlp.Signal]pipeline.Consumer{otlp.Profiles: &next, otlp.Metrics: &next}
	for range 2 { // the second time changes nothing
		if err := r.Rewire(to); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, _ := stacksOf(t, r.sink.Requests(otlp.Profiles))
	countKnown(out)
	testkit.Eventually(t, "the agent has the counts", func() bool { return out.Stats().CountsForTraces.Acknowledged == 2*knownTraces })
	testkit.Eventually(t, "the agent has asked", func() bool { return out.Stats().SentAgain >= knownTraces })
	out.Stop() // all that was asked for is sent
	r.end()
	after, _ := stacksOf(t, next.Requests(otlp.Profiles))
	again, _ := stacksOf(t, r.sink.Requests(otlp.Profiles))
	if len(before) != knownTraces || fmt.Sprint(before) != fmt.Sprint(after) || fmt.Sprint(before) != fmt.Sprint(again) {
		t.Errorf("the first consumer got %d stacks, at the end %d; the next one %d", len(before), len(again), len(after))
	}
}

// A signal whose pipeline goes is refused, and is taken again when it comes back.
func TestRewireSignals(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig(), component.Settings{})
	client := r.client()
	for i, takes := range []bool{true, false, true} {
		to := map[otlp.Signal]pipeline.Consumer{otlp.Metrics: r.sink}
		if takes {
			to[otlp.Profiles] = r.sink
		}
		if err := r.Rewire(to); err != nil {
			t.Fatal(err)
		}
		want := codes.OK
		if !takes {
			want = codes.Unimplemented
		}
		if _, err := client.Report(t.Context(), one(1, uint64(i+1))); status.Code(err) != want {
			t.Errorf("with a pipeline of profiles: %v; %v", takes, err)
		}
	}
	if err := r.Rewire(map[otlp.Signal]pipeline.Consumer{otlp.Logs: r.sink}); err == nil {
		t.Error("a consumer of logs: expected an error")
	}
}

// knowsAll reports whether the agent's only session has all stacks.
func (r *Receiver) knowsAll() bool {
	all := r.agent.Load().sessions.all()
	if len(all) == 0 {
		return false
	}
	for i := range knownTraces {
		if !all[0].reporter.KnowsTrace(restartHash(i)) {
			return false
		}
	}
	return true
}

// Agents take the listener over from each other. Reporters lose nothing, and no
// sample is counted twice.
func TestHandover(t *testing.T) {
	t.Parallel()
	var all config.Listeners
	ctx := config.WithListeners(context.Background(), &all)
	sink := &testkit.Sink{}
	start := func(i int) *Receiver {
		c := testConfig()
		c.MaxReporters += i
		r := makeRig(t, c, component.Settings{}).Receiver
		if err := r.Rewire(map[otlp.Signal]pipeline.Consumer{otlp.Profiles: sink, otlp.Metrics: sink}); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		return r
	}
	end := func(r *Receiver) {
		within, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		if err := r.Retire(within); err != nil {
			t.Error(err)
		}
		if err := r.Shutdown(within); err != nil {
			t.Error(err)
		}
	}
	now := start(0)
	out := startReporter(t, now.Addr().String())
	reportKnown(t, out)
	const rounds = 20
	for i := range rounds {
		countKnown(out)
		testkit.Eventually(t, "the agent has the stacks that it asked for", func() bool { return out.Stats().CountsForTraces.Queued == 0 && now.knowsAll() })
		old := now
		all.Begin()
		now = start(i + 1)
		all.End()
		if now.Addr().String() != old.Addr().String() {
			t.Fatalf("listens on %s, expected %s", now.Addr(), old.Addr())
		}
		end(old)
	}
	countKnown(out)
	testkit.Eventually(t, "the last agent has the stacks that it asked for", now.knowsAll)
	out.Stop()
	end(now)
	if s := out.Stats().CountsForTraces; s.Acknowledged != (rounds+1)*knownTraces || s.Dropped+s.Overwritten > 0 {
		t.Errorf("the reporter has %+v", s)
	}
	stacks, _ := stacksOf(t, sink.Requests(otlp.Profiles))
	for stack, n := range stacks {
		if n != rounds+1 {
			t.Fatalf("%d samples of %s, expected %d", n, stack, rounds+1)
		}
	}
	if len(stacks) != knownTraces {
		t.Errorf("%d stacks, expected %d", len(stacks), knownTraces)
	}
}
