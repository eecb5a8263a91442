package pprofreceiver

import (
	"net/http"
	"testing"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// Each target has metrics: whether it is up, fetches by outcome, bytes, durations,
// restarts, and samples without a stack.
func TestTargetsHaveMetrics(t *testing.T) {
	t.Parallel()
	noStack := simple("a", 5, 50, 0, 0)
	noStack.frames = nil
	good := serve(t, &script{left: []*profile.Profile{
		heapAt(0, simple("a", 10, 100, 0, 0), simple("b", 10, 100, 0, 0)), heapAt(1, simple("a", 1, 10, 0, 0), simple("b", 1, 10, 0, 0), noStack),
	}})
	bad := serve(t, http.NotFoundHandler())
	cfg := one(good, "allocs")
	cfg.Targets = append(cfg.Targets, Target{Endpoint: bad})
	meter := testkit.NewMeter()
	r := newRigWith(t, cfg, component.Settings{ID: "pprof", Meter: meter})
	r.rounds(2)
	const name = "otelcol_receiver_pprof_"
	for _, c := range []struct {
		metric string
		of     []string
		want   int64
	}{
		{name + "target_up", []string{"target=" + good}, 1},
		{name + "target_up", []string{"target=" + bad}, 0},
		{name + "fetches", []string{"target=" + good, "outcome=success"}, 2},
		{name + "fetches", []string{"target=" + good}, 2},
		{name + "fetches", []string{"target=" + bad, "outcome=not_found"}, 2},
		{name + "restarts", []string{"target=" + good}, 1},
		{"otelcol_receiver_without_stack_profile_samples", nil, 2},
	} {
		if got := meter.Sum(t, c.metric, append(c.of, "receiver=pprof")...); got != c.want {
			t.Errorf("%s %v: %d, want %d", c.metric, c.of, got, c.want)
		}
	}
	if got := meter.Sum(t, name+"fetched_bytes", "target="+good); got < 200 {
		t.Errorf("%d bytes of %s", got, good)
	}
	found := false
	for _, scope := range meter.Collect(t).ScopeMetrics {
		for _, m := range scope.Metrics {
			found = found || m.Name == name+"fetch_duration"
		}
	}
	if !found {
		t.Error("there are no durations")
	}
}
