package service

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// A backend that loses answers and knows requests by their idempotency key has each of
// them once, over both protocols and over a restart.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(5, 6))
	known, repeats, items := map[string]string{}, 0, 0
	b.Respond(func(c testkit.Call) testkit.Answer {
		mu.Lock()
		defer mu.Unlock()
		key := c.Header["idempotency-key"]
		if len(key) != 1 || len(key[0]) != 38 {
			t.Errorf("%s: the idempotency key is %q", c.Transport, key)
			return testkit.Answer{}
		}
		if first, is := known[key[0]]; !is {
			known[key[0]] = string(c.Bytes)
			items += c.Items
		} else if repeats++; first != string(c.Bytes) {
			t.Errorf("%s: two requests have the key %s", c.Transport, key[0])
		}
		if r.IntN(3) > 0 {
			return testkit.Answer{Code: codes.Unavailable}
		}
		return testkit.Answer{}
	})
	yaml := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
exporters:
  otlp:
    endpoint: "%s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 5ms, max_interval: 20ms}
    sending_queue: &queue {storage: file_storage, idempotency_key: true}
  otlphttp:
    endpoint: "%s"
    retry_on_failure: {initial_interval: 5ms, max_interval: 20ms}
    sending_queue: *queue
extensions:
  file_storage: {directory: "%s"}
service:
  extensions: [file_storage]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp, otlphttp]}
    metrics: {receivers: [otlp], exporters: [otlp, otlphttp]}
    logs: {receivers: [otlp], exporters: [otlp, otlphttp]}
    profiles: {receivers: [otlp], exporters: [otlp, otlphttp]}
`, b.GRPCEndpoint(), b.HTTPEndpoint(), dir)
	want := 0
	for range 3 {
		q := startQueued(t, dir, b, yaml)
		for _, n := range q.send(t, 3) {
			want += 2 * n
		}
		q.stop(t) // with requests in flight
	}
	q := startQueued(t, dir, b, yaml)
	testkit.Eventually(t, "everything is delivered", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return items >= want
	})
	q.stop(t)
	mu.Lock()
	defer mu.Unlock()
	if items != want || repeats == 0 {
		t.Errorf("%d items, want %d; %d requests came again", items, want, repeats)
	}
}
