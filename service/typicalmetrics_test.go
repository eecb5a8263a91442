package service

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// A configuration that many Collectors have (memory_limiter, batch, a queue on disk with
// retries, health_check) runs as it is, and penstock serves of itself all names and labels
// that a Collector serves with it, also when the destination was down for a while. The
// lists are written by tools/dashboards with -outage.
func TestTypicalMetrics(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"basic", "normal", "detailed"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			served := serveTypical(t, level)
			for name, labels := range readMetricList(t, filepath.Join("typical", level+".txt")) {
				got, ok := served[name]
				if !ok {
					t.Errorf("%s is not served", name)
				}
				for _, label := range labels {
					if ok && !slices.Contains(got, label) {
						t.Errorf("%s has the labels %v, not %s", name, got, label)
					}
				}
			}
		})
	}
}

// serveTypical returns what is served after requests of each signal, some of them while
// the destination is down.
func serveTypical(t *testing.T, level string) map[string][]string {
	t.Helper()
	signals := []otlp.Signal{otlp.Traces, otlp.Metrics, otlp.Logs}
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	r := startCompared(t, filepath.Join("typical", "config.yaml"), level, true, backend)
	if code, _ := fetch(t, r.extensionURL(t, "health_check")); code != 200 {
		t.Errorf("health_check answers %d", code)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	sent := map[otlp.Signal]int{}
	send := func(items int) {
		for _, sender := range r.clients(t) {
			for _, s := range signals {
				body := testkit.Request(rng, s, items)
				if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: body}); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
				n, err := otlp.Check(s, body)
				if err != nil {
					t.Fatal(err)
				}
				sent[s] += n
			}
		}
	}
	arrived := func() {
		for _, s := range signals {
			backend.Wait(t, s, sent[s])
		}
	}
	send(3)
	send(300) // more than send_batch_size
	arrived()
	backend.Stop()
	send(3)
	backend.Start(t)
	arrived()
	return r.served(t)
}
