package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/delivery"
	"github.com/penstock-telemetry/penstock/delivery/record"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// withQueues is the YAML of most users: a queue on disk and retries, over both
// protocols.
const withQueues = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 256}
exporters:
  otlp:
    endpoint: "%[1]s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms%[4]s}
    sending_queue: {storage: file_storage%[5]s}
  otlphttp:
    endpoint: "%[2]s"
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
    sending_queue: {storage: file_storage}
extensions:
  file_storage: {directory: "%[3]s"}
service:
  extensions: [file_storage]
  pipelines:
    %[6]s: {receivers: [otlp], processors: [memory_limiter], exporters: [otlp, otlphttp]}
    metrics: {receivers: [otlp], exporters: [otlp]}
    logs: {receivers: [otlp], exporters: [otlphttp]}
    profiles: {receivers: [otlp], exporters: [otlp]}
`

// queueRig is a service with queues that a test starts and stops by itself.
type queueRig struct {
	*rig
	dir     string
	backend *testkit.Backend
	log     *testkit.Log
}

func startQueues(t *testing.T, dir string, b *testkit.Backend, retry, queue, traces string) *queueRig {
	t.Helper()
	return startQueued(t, dir, b, fmt.Sprintf(withQueues, b.GRPCEndpoint(), b.HTTPEndpoint(), dir, retry, queue, traces))
}

func startQueued(t *testing.T, dir string, b *testkit.Backend, yaml string) *queueRig {
	t.Helper()
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	return &queueRig{runRig(t, cfg, log.Logger()), dir, b, log}
}

func (q *queueRig) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := q.Shutdown(ctx); err != nil {
		t.Errorf("shut down: %v", err)
	}
}

// send sends n requests of each signal, all of which must be acknowledged.
func (q *queueRig) send(t *testing.T, n int) (items map[otlp.Signal]int) {
	t.Helper()
	items = map[otlp.Signal]int{}
	r := rand.New(rand.NewPCG(3, 4))
	for _, client := range q.clients(t) {
		for _, s := range otlp.Signals() {
			for range n {
				b := testkit.Request(r, s, 3)
				count, err := otlp.Check(s, b)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := client.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: b}); err != nil {
					t.Fatal(err)
				}
				items[s] += count
			}
		}
	}
	return items
}

// exporters is how many exporters each signal of withQueues has.
var exporters = map[otlp.Signal]int{otlp.Traces: 2, otlp.Metrics: 1, otlp.Logs: 1, otlp.Profiles: 1}

// While the backend is down requests are acknowledged, and a restart later everything is
// delivered, to each exporter once.
func TestQueuesSurviveARestart(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	q := startQueues(t, dir, b, "", "", "traces")
	items := q.send(t, 5)
	q.stop(t)
	b.Respond(nil)
	q = startQueues(t, dir, b, "", "", "traces")
	for s, n := range items {
		b.Wait(t, s, n*exporters[s])
	}
	more := q.send(t, 2)
	for s, n := range more {
		b.Wait(t, s, (items[s]+n)*exporters[s])
	}
	q.stop(t)
	for s := range items {
		if got, want := b.Items(s), (items[s]+more[s])*exporters[s]; got != want {
			t.Errorf("%s: %d items delivered, want %d", s, got, want)
		}
	}
}

// What waits in the queue of a pipeline is delivered when the pipeline has another name.
func TestQueueOfARenamedPipeline(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	q := startQueues(t, dir, b, "", "", "traces/before")
	items := q.send(t, 3)
	q.stop(t)
	b.Respond(nil)
	q = startQueues(t, dir, b, "", "", "traces/after")
	for s, n := range items {
		b.Wait(t, s, n*exporters[s])
	}
	q.stop(t)
	q = startQueues(t, dir, b, "", "", "traces/after")
	time.Sleep(50 * time.Millisecond) // nothing is delivered again
	q.stop(t)
	for s, n := range items {
		if got, want := b.Items(s), n*exporters[s]; got != want {
			t.Errorf("%s: %d items delivered, want %d", s, got, want)
		}
	}
}

// The metrics of the queue, by the Collector's names and ours.
func TestQueueMetrics(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	q := startQueues(t, dir, b, "", ", queue_size: 4", "traces")
	r := rand.New(rand.NewPCG(3, 4))
	client := q.clients(t)["grpc"]
	request := testkit.Request(r, otlp.Metrics, 3)
	n, _ := otlp.Check(otlp.Metrics, request)
	for i := range 6 {
		_, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Metrics, Bytes: request})
		if (err != nil) != (i >= 4) {
			t.Errorf("request %d: %v", i, err)
		}
		if e, ok := err.(*otlpclient.Error); err != nil && (!ok || !e.Retryable || e.RetryAfter == 0) {
			t.Errorf("request %d: %v, want one that asks to retry", i, err)
		}
	}
	_, page := fetch(t, q.metrics+"/metrics")
	for series, want := range map[string]int{
		`otelcol_exporter_queue_size{data_type="metrics",exporter="otlp",`:                                     4,
		`otelcol_exporter_queue_capacity{data_type="metrics",exporter="otlp",`:                                 4,
		`otelcol_exporter_enqueue_failed_metric_points{exporter="otlp"`:                                        2 * n,
		`otelcol_exporter_queue_held_items{data_type="metrics",exporter="otlp",`:                               4 * n,
		`otelcol_exporter_queue_items{data_type="metrics",exporter="otlp",pipeline="metrics",state="accepted"`: 4 * n,
	} {
		if !hasSeries(page, series, want) {
			t.Errorf("want %s…} %d; found %q", series, want, linesWith(page, strings.SplitN(series, "{", 2)[0]))
		}
	}
	b.Respond(nil)
	b.Wait(t, otlp.Metrics, 4*n)
}

func hasSeries(page, prefix string, value int) bool {
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, prefix) && strings.HasSuffix(line, fmt.Sprintf("} %d", value)) {
			return true
		}
	}
	return false
}

func linesWith(page, name string) (lines []string) {
	for _, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, name) {
			lines = append(lines, line)
		}
	}
	return lines
}

// What is refused for good, or given up, is in the dead letters; the rest goes on.
func TestDeadLettersOfAQueue(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.InvalidArgument, Message: "no"} })
	q := startQueues(t, dir, b, "", "", "traces")
	q.send(t, 1)
	folder := filepath.Join(dir, "penstock", "dead-letters")
	testkit.Eventually(t, "an answer to each request", func() bool { return len(b.Calls()) >= 10 })
	// A command sees them while the service runs.
	running, err := control.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "all letters over the control socket", func() bool {
		seen := 0
		for pipeline, letters := range running.Letters {
			list, err := letters.List(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", pipeline, err)
			}
			seen += len(list)
		}
		return seen == 10
	})
	if err := running.Close(); err != nil {
		t.Error(err)
	}
	q.stop(t)
	if left, err := filepath.Glob(filepath.Join(dir, "penstock", "control.sock*")); len(left) > 0 || err != nil {
		t.Errorf("after the end there is %q, %v", left, err)
	}
	letters := map[string]int{}
	for s := range exporters {
		d, err := delivery.OpenDeadLetters(filepath.Join(folder, s.String()), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = d.List(t.Context(), func(l delivery.StoredLetter) bool {
			r, err := record.Decode(l.Record)
			if err != nil || !strings.Contains(l.Reason, "no") || codes.Code(l.Code) != codes.InvalidArgument || l.Time.IsZero() || r.Signal != s {
				t.Errorf("letter %+v, %v", l, err)
			}
			letters[l.Destination]++
			return true
		})
		if err := errors.Join(err, d.Close()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]int{"traces/otlp": 2, "traces/otlphttp": 2, "metrics/otlp": 2, "logs/otlphttp": 2, "profiles/otlp": 2}
	if diff := cmp.Diff(want, letters); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
}

// A control socket that cannot be made is a warning, and the queues work.
func TestQueueWithoutAControlSocket(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	if err := os.MkdirAll(filepath.Join(dir, "penstock", "control.sock", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	q := startQueues(t, dir, b, "", "", "traces")
	for s, n := range q.send(t, 1) {
		b.Wait(t, s, n*exporters[s])
	}
	if line := q.log.String(); !strings.Contains(line, "there is no control socket") {
		t.Errorf("no warning in the log")
	}
	q.stop(t)
}

// Two services cannot have the same queue.
func TestQueueIsLocked(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	q := startQueues(t, dir, b, "", "", "traces")
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + fmt.Sprintf(withQueues, b.GRPCEndpoint(), b.HTTPEndpoint(), dir, "", "", "traces")},
		Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Start(t.Context())
	if want := fmt.Sprintf("by process %d", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
		t.Errorf("a second service: %v, want an error with %q", err, want)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "penstock", "control.sock")); err != nil {
		t.Errorf("the control socket of the first: %v", err)
	}
	q.stop(t)
}

// Of a client only that is kept on the disk which a key names, and it is sent after a
// restart.
func TestQueueKeepsNamedMetadata(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	yaml := fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0", include_metadata: true}}}
exporters:
  otlp:
    endpoint: "%s"
    tls: {insecure: true}
    auth: {authenticator: headers_setter}
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
    sending_queue: {storage: file_storage}
extensions:
  file_storage: {directory: "%s"}
  headers_setter: {headers: [{key: X-Scope-OrgID, from_context: X-Tenant}]}
service:
  extensions: [file_storage, headers_setter]
  pipelines: {logs: {receivers: [otlp], exporters: [otlp]}}
`, b.GRPCEndpoint(), dir)
	q := startQueued(t, dir, b, yaml)
	onGRPC := config.DefaultGRPCClient()
	onGRPC.Endpoint = "http://" + q.grpc
	client, err := otlpclient.NewGRPC(onGRPC, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"red", "blue", "red"} {
		headers := map[string]string{"x-tenant": tenant, "authorization": "Bearer s3cret"}
		request := testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, 3)
		if _, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: request, Headers: headers}); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	q.stop(t)
	if found := contentOf(t, dir); !strings.Contains(found, "blue") || strings.Contains(found, "s3cret") {
		t.Error("the folder has a credential that no key names, or lacks the tenant that one does")
	}
	b.Respond(nil)
	arrived := len(b.Calls())
	q = startQueued(t, dir, b, yaml)
	tenants := map[string]bool{}
	testkit.Eventually(t, "requests of both tenants", func() bool {
		for _, call := range b.Calls()[arrived:] {
			for _, tenant := range call.Header["x-scope-orgid"] {
				tenants[tenant] = true
			}
		}
		return tenants["red"] && tenants["blue"]
	})
	q.stop(t)
}

// contentOf is what all files below a folder have.
func contentOf(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// With retry_on_failure off, a failure that may pass makes a dead letter too, and not
// nothing.
func TestQueueWithoutRetries(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
	q := startQueues(t, dir, b, ", enabled: false", "", "traces")
	q.send(t, 1)
	testkit.Eventually(t, "an attempt for each request", func() bool { return len(b.Calls()) >= 6 })
	q.stop(t)
	d, err := delivery.OpenDeadLetters(filepath.Join(dir, "penstock", "dead-letters", "metrics"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if held := d.Held(); held.Records != 2 {
		t.Errorf("%d dead letters, want 2", held.Records)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
