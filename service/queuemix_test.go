package service

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// mixed has a pipeline to two destinations, one of which is down, with a section
// sending_queue for each; %[5]s are further exporters of the pipeline.
const mixed = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  otlp/up: {endpoint: "%[1]s", tls: {insecure: true}, sending_queue: %[3]s}
  otlp/down:
    endpoint: "%[2]s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
    sending_queue: %[4]s
  file: {path: "%[6]s/out.json"}
connectors: {forward: }
extensions:
  file_storage/a: {directory: "%[6]s/a"}
  file_storage/b: {directory: "%[6]s/b"}
service:
  extensions: [file_storage/a, file_storage/b]
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp/up, otlp/down%[5]s]}
    logs/forwarded: {receivers: [forward], exporters: [file]}
`

// mixedOf fills in mixed.
func mixedOf(up, down *testkit.Backend, upQueue, downQueue, more, dir string) string {
	yaml := fmt.Sprintf(mixed, up.GRPCEndpoint(), down.GRPCEndpoint(), upQueue, downQueue, more, dir)
	if !strings.Contains(more, "forward") {
		yaml = strings.Replace(yaml, "    logs/forwarded: {receivers: [forward], exporters: [file]}\n", "", 1)
	}
	return yaml
}

// The acknowledgement of a request comes when each exporter has kept it by its own rule.
func TestQueuesOfOnePipeline(t *testing.T) {
	t.Parallel()
	const queued, waits = "{}", "{enabled: false}"
	for _, c := range []struct {
		name, up, down, more string
		acknowledged         bool // while a destination is down
		full                 bool // the sender is asked to retry after the first request
	}{
		{name: "one queue", up: queued, down: queued, acknowledged: true},
		{name: "two storages", up: "{storage: file_storage/a}", down: "{storage: file_storage/b}", acknowledged: true},
		{name: "a storage and the data directory", up: "{storage: file_storage/a}", down: queued, acknowledged: true},
		{name: "the one that is up has no queue", up: waits, down: queued, acknowledged: true},
		{name: "the one that is down has no queue", up: queued, down: waits},
		{name: "a file beside them", up: queued, down: queued, more: ", file", acknowledged: true},
		{name: "a connector beside them", up: queued, down: queued, more: ", forward", acknowledged: true},
		{name: "one is full", up: queued, down: "{queue_size: 1}", acknowledged: true, full: true},
		{name: "one of two storages is full", up: "{storage: file_storage/a}", down: "{storage: file_storage/b, queue_size: 1}", acknowledged: true, full: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, up, away := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
			isDown(away)
			yaml := mixedOf(up, away, c.up, c.down, c.more, dir)
			p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data")}, yaml, up)
			wait := enough
			if !c.acknowledged {
				wait = 300 * time.Millisecond
			}
			if err := p.sendLogs(t, 5, wait); (err == nil) != c.acknowledged {
				t.Errorf("the sender got %v, acknowledged should be %v", err, c.acknowledged)
			}
			up.Wait(t, otlp.Logs, 5)
			again := 0
			if c.full {
				e, ok := p.sendLogs(t, 5, enough).(*otlpclient.Error)
				if !ok || !e.Retryable || e.RetryAfter == 0 {
					t.Errorf("the sender got %v, want to be asked to retry", e)
				}
				again = 5
			}
			if c.more != "" {
				if b, err := os.ReadFile(filepath.Join(dir, "out.json")); err != nil || strings.Count(string(b), `"resourceLogs"`) == 0 {
					t.Errorf("the file has %d bytes, %v", len(b), err)
				}
			}
			away.Respond(nil)
			if c.acknowledged {
				away.Wait(t, otlp.Logs, 5)
			}
			if c.full {
				testkit.Eventually(t, "room", func() bool { return p.sendLogs(t, 5, enough) == nil })
				away.Wait(t, otlp.Logs, 5+again)
			}
			p.stop(t)
			status, err := p.status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			queues := 0
			for _, section := range []string{c.up, c.down} {
				if section != waits {
					queues++
				}
			}
			if len(status.Queues) != queues {
				t.Errorf("the status has %d queues, want %d", len(status.Queues), queues)
			}
			for _, q := range status.Queues {
				if sum := q.Delivered + q.Rejected + q.DeadLettered + q.Dropped + q.Damaged + q.Returned + q.Held; sum != q.Accepted || q.Held != 0 {
					t.Errorf("the ledger of %s: %+v", q.Exporter, q)
				}
			}
		})
	}
}

// A dead destination keeps neither the other pipelines nor the other exporter of its own
// from sending.
func TestDeadDestinationHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	dir, up, away := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	hang := make(chan struct{})
	away.Respond(func(testkit.Call) testkit.Answer { <-hang; return testkit.Answer{Code: codes.Unavailable} })
	p := startPlaced(t, Options{DataDir: dir}, mixedOf(up, away, "{}", "{}", "", dir), up)
	for range 50 {
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Fatal(err)
		}
	}
	up.Wait(t, otlp.Logs, 250)
	away.Respond(nil)
	close(hang)
	away.Wait(t, otlp.Logs, 250)
	p.stop(t)
}

// The same where senders wait: the exporter that is up has its data although the one
// before it makes the sender wait.
func TestDeadDestinationInMemory(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"{}", "{enabled: false}"} {
		dir, up, away := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
		isDown(away)
		yaml := strings.Replace(mixedOf(up, away, section, section, "", dir), "[otlp/up, otlp/down]", "[otlp/down, otlp/up]", 1)
		p := startPlaced(t, Options{}, yaml, up)
		if err := p.sendLogs(t, 5, 300*time.Millisecond); err == nil {
			t.Errorf("%s: acknowledged without a destination", section)
		}
		up.Wait(t, otlp.Logs, 5)
		p.stop(t)

		// The same with a pipeline for each of them.
		yaml = strings.Replace(yaml, "logs: {receivers: [otlp], exporters: [otlp/down, otlp/up]}", "logs: {receivers: [otlp], exporters: [otlp/down]}\n    logs/up: {receivers: [otlp], exporters: [otlp/up]}", 1)
		p = startPlaced(t, Options{}, yaml, up)
		if err := p.sendLogs(t, 5, 300*time.Millisecond); err == nil {
			t.Errorf("%s, two pipelines: acknowledged without a destination", section)
		}
		up.Wait(t, otlp.Logs, 10)
		p.stop(t)
	}
}

// What waits in the data directory is sent when the exporter names a storage, and the
// other way round; a queue that is left and empty is removed.
func TestQueueLeftInAnotherPlace(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	data := filepath.Join(dir, "data")
	with := func(pipeline, section string) string {
		yaml := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), section)
		yaml = strings.Replace(yaml, "{logs: ", "{"+pipeline+": ", 1)
		return strings.Replace(yaml, "service:", fmt.Sprintf("extensions: {file_storage: {directory: %q}}\nservice:\n  extensions: [file_storage]", dir), 1)
	}
	isDown(b)
	p := startPlaced(t, Options{DataDir: data}, with("logs", "{}"), b)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Error(err)
	}
	p.stop(t)
	p = startPlaced(t, Options{DataDir: data}, with("logs/before", "{storage: file_storage}"), b)
	if err := p.sendLogs(t, 7, enough); err != nil {
		t.Error(err)
	}
	b.Respond(nil)
	b.Wait(t, otlp.Logs, 12)
	p.stop(t)
	if left := folders(t, data); len(left) > 0 {
		t.Errorf("the data directory has the queues %q, want none, since they are empty", left)
	}
	p = startPlaced(t, Options{DataDir: data}, with("logs/after", "{storage: file_storage}"), b)
	p.stop(t)
	if left := folders(t, dir); len(left) != 1 || left[0] != "logs%2Fafter" {
		t.Errorf("the storage has the queues %q, want one", left)
	}
	if got := b.Items(otlp.Logs); got != 12 {
		t.Errorf("%d records delivered, want 12", got)
	}
}

// A process without a queue reports what is left in the data directory, and is not
// stopped by another process that uses it.
func TestQueueLeftWithoutAQueue(t *testing.T) {
	t.Parallel()
	data, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	p := startPlaced(t, Options{DataDir: data}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{}"), b)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Error(err)
	}
	without := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{enabled: false}")
	other := startPlaced(t, Options{DataDir: data}, without, b)
	other.stop(t)
	if _, err := os.Stat(filepath.Join(data, "penstock", "control.sock")); err != nil {
		t.Errorf("the control socket of the process with the queue: %v", err)
	}
	p.stop(t)
	other = startPlaced(t, Options{DataDir: data}, without, b)
	if lines := other.log.Lines("it is kept"); len(lines) != 1 || !strings.Contains(lines[0], "items=5") {
		t.Errorf("the log has %q", lines)
	}
	other.stop(t)
}
