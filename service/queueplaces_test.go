package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// withOneExporter has an exporter with a section sending_queue.
const withOneExporter = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  otlp:
    endpoint: "%s"
    tls: {insecure: true}
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms}
    sending_queue: %s
service:
  pipelines: {logs: {receivers: [otlp], exporters: [otlp]}}
`

// placedRig is a service whose queues are where Options say.
type placedRig struct {
	*queueRig
	client otlpclient.Sender
}

func startPlaced(t *testing.T, o Options, yaml string, b *testkit.Backend) *placedRig {
	t.Helper()
	if o.Components == nil {
		o.Components = builtins().Components
	}
	cfg, err := LoadFrom(o, Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	log := &testkit.Log{}
	o.Logger = log.Logger()
	r := runRigWith(t, cfg, o)
	onGRPC := config.DefaultGRPCClient()
	onGRPC.Endpoint = "http://" + r.grpc
	client, err := otlpclient.NewGRPC(onGRPC, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return &placedRig{&queueRig{r, o.DataDir, b, log}, client}
}

// sendLogs sends a request with n records; its sender waits for a time.
func (p *placedRig) sendLogs(t *testing.T, n int, wait time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	return p.sendLogsUntil(ctx, n)
}

func (p *placedRig) sendLogsUntil(ctx context.Context, n int) error {
	_, err := p.client.Send(ctx, otlpclient.Request{Signal: otlp.Logs, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, n)})
	return err
}

// isDown makes a backend refuse everything for a while.
func isDown(b *testkit.Backend) {
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.Unavailable} })
}

// folders are the folders of queues in a data directory.
func folders(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "penstock", "pipelines"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

const enough = 20 * time.Second // for what has to succeed

// A queue is on disk by default, in the data directory, and what was acknowledged survives a restart.
func TestQueueInTheDataDirectory(t *testing.T) {
	t.Parallel()
	dir, b := filepath.Join(t.TempDir(), "data"), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	for _, section := range []string{"", "{num_consumers: 3}", "{wait_for_result: false}"} {
		p := startPlaced(t, Options{DataDir: dir}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), section), b)
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Errorf("%q: %v", section, err)
		}
		if _, page := fetch(t, p.metrics+"/metrics"); !hasSeries(page, "otelcol_exporter_queue_durable{", 1) {
			t.Errorf("%q: found %q", section, linesWith(page, "otelcol_exporter_queue_durable"))
		}
		p.stop(t)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the data directory: %v, %v", info.Mode(), err)
	}
	b.Respond(nil)
	p := startPlaced(t, Options{DataDir: dir}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), ""), b)
	b.Wait(t, otlp.Logs, 15)
	p.stop(t)
}

// Where the data directory cannot be written, the queue is in memory: it is said, a
// request is acknowledged when it was delivered, and what may pass is sent again
// meanwhile.
func TestQueueInMemoryWhoseSendersWait(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]Options{
		"the directory cannot be made": {DataDir: filepath.Join(file, "data"), DataDirOptional: true},
		"there is none":                {},
	} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		p := startPlaced(t, o, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), ""), b)
		isDown(b)
		if err := p.sendLogs(t, 5, 300*time.Millisecond); err == nil {
			t.Errorf("%s: acknowledged without a destination", name)
		}
		calls := len(b.Calls())
		if calls < 2 {
			t.Errorf("%s: %d attempts while the sender waited, want several", name, calls)
		}
		done := make(chan error)
		go func() { done <- p.sendLogs(t, 5, enough) }()
		testkit.Eventually(t, "attempts of the second", func() bool { return len(b.Calls()) > calls })
		b.Respond(nil)
		if err := <-done; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := b.Items(otlp.Logs); got != 5 {
			t.Errorf("%s: %d records delivered, want 5: the sender has the others", name, got)
		}
		_, page := fetch(t, p.metrics+"/metrics")
		for series, want := range map[string]int{
			"otelcol_exporter_queue_durable{": 0,
			`otelcol_exporter_queue_items{data_type="logs",exporter="otlp",pipeline="logs",state="accepted"`:  10,
			`otelcol_exporter_queue_items{data_type="logs",exporter="otlp",pipeline="logs",state="delivered"`: 5,
			`otelcol_exporter_queue_items{data_type="logs",exporter="otlp",pipeline="logs",state="returned"`:  5,
		} {
			if series = strings.TrimSuffix(series, ","); !hasSeries(page, series, want) {
				t.Errorf("%s: want %s…} %d; found %q", name, series, want, linesWith(page, strings.SplitN(series, "{", 2)[0]))
			}
		}
		if loud := strings.Contains(p.log.String(), "QUEUES ARE IN MEMORY"); loud != o.DataDirOptional {
			t.Errorf("%s: warned: %v", name, loud)
		}
		status, err := p.status(t.Context())
		if err != nil || len(status.Queues) != 1 || !strings.HasPrefix(status.Queues[0].Warning, "in memory") || status.Queues[0].Place != "" {
			t.Errorf("%s: the status has %+v, %v", name, status.Queues, err)
		}
		p.stop(t)
	}
}

// A data directory that was named, and that cannot be used, is an error that
// names it.
func TestDataDirectoryThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	fails := func(dir, want string) {
		t.Helper()
		cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "")}, Set: []string{"service.telemetry.metrics.level=none"}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg, Options{DataDir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("got %v, want an error with %q and %s", err, want, dir)
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
	fails(filepath.Join(file, "data"), "cannot be used")
	dir := t.TempDir()
	p := startPlaced(t, Options{DataDir: dir}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), ""), b)
	fails(dir, fmt.Sprintf("by process %d", os.Getpid()))
	fails(dir, "--data-dir")
	p.stop(t)
}

// In memory without waiting: a request is acknowledged at once, sent later, and drained at
// the end; what cannot be drained is lost, which is an error of Shutdown. A request that is
// too large for the queue waits.
func TestQueueInMemoryWhoseSendersDoNotWait(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		o       Options
		section string
	}{
		"--in-memory":     {Options{DataDir: dir, InMemory: true}, ""},
		"wait_for_result": {Options{}, "{wait_for_result: false}"},
	} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		isDown(b)
		yaml := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), c.section)
		p := startPlaced(t, c.o, yaml, b)
		for range 3 {
			if err := p.sendLogs(t, 5, enough); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		testkit.Eventually(t, "an attempt", func() bool { return len(b.Calls()) > 0 })
		done := make(chan struct{})
		go func() { defer close(done); p.stop(t) }()
		b.Respond(nil)
		<-done
		if got := b.Items(otlp.Logs); got != 15 {
			t.Errorf("%s: %d records delivered at the end, want 15", name, got)
		}

		isDown(b)
		p = startPlaced(t, c.o, yaml, b)
		if err := p.sendLogs(t, 7, enough); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.failsToStop = true
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := p.Shutdown(ctx); err == nil || !strings.Contains(err.Error(), "1 requests with 7 items were not sent in time, and are lost") {
			t.Errorf("%s: the end of a queue that has requests: %v", name, err)
		}
		cancel()
	}
	if found := folders(t, dir); len(found) > 0 {
		t.Errorf("--in-memory has written %q", found)
	}
}

// A queue in memory has a bound: beyond, senders are asked to retry.
func TestQueueInMemoryIsBounded(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	yaml := strings.Replace(fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{wait_for_result: false}"), "service:", "extensions: {memory_limiter: {check_interval: 1s, limit_mib: 64}}\nservice:\n  extensions: [memory_limiter]", 1)
	p := startPlaced(t, Options{}, yaml, b)
	accepted := 0
	for {
		err := p.sendLogs(t, 1000, enough)
		if err == nil {
			accepted++
			continue
		}
		if e, ok := err.(*otlpclient.Error); !ok || !e.Retryable || e.RetryAfter == 0 {
			t.Errorf("after %d requests: %v, want one that asks to retry", accepted, err)
		}
		break
	}
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
	b.Respond(nil)
	b.Wait(t, otlp.Logs, 1000*accepted)
	testkit.Eventually(t, "room again", func() bool { return p.sendLogs(t, 1000, enough) == nil })
	p.stop(t)
}

// What is too large for a queue in memory is sent while its sender waits.
func TestTooLargeForAQueueInMemory(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := strings.Replace(fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{wait_for_result: false}"), "service:", "extensions: {memory_limiter: {check_interval: 1s, limit_mib: 64}}\nservice:\n  extensions: [memory_limiter]", 1)
	p := startPlaced(t, Options{}, yaml, b)
	if err := p.sendLogs(t, 10000, enough); err != nil {
		t.Error(err)
	}
	if got := b.Items(otlp.Logs); got != 10000 {
		t.Errorf("%d records are delivered when the sender is answered, want 10000", got)
	}
	p.stop(t)
}

// Without a queue, and where the configuration asks to wait, nothing is written, and the
// answer is the destination's.
func TestSendersWaitWhereAsked(t *testing.T) {
	t.Parallel()
	for _, section := range []string{"{enabled: false}", "{wait_for_result: true}"} {
		dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
		p := startPlaced(t, Options{DataDir: dir}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), section), b)
		isDown(b)
		ctx, giveUp := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() { answer <- p.sendLogsUntil(ctx, 5) }()
		testkit.Eventually(t, "a second attempt while the sender waits", func() bool { return len(b.Calls()) >= 2 })
		giveUp()
		if err := <-answer; err == nil {
			t.Errorf("%s: acknowledged without a destination", section)
		}
		b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Code: codes.InvalidArgument, Message: "no"} })
		if e, ok := p.sendLogs(t, 5, enough).(*otlpclient.Error); !ok || e.Retryable || e.Code != codes.InvalidArgument {
			t.Errorf("%s: the answer is %v", section, e)
		}
		p.stop(t)
		if got := contentOf(t, dir); strings.Contains(got, "scope") || len(folders(t, dir)) > 1 {
			t.Errorf("%s: something was written", section)
		}
	}
}

// Small requests that wait for a destination that is down leave memory for others: beyond
// a bound their senders are asked to retry.
func TestWaitingSendersAreBounded(t *testing.T) {
	t.Parallel()
	dir, up, away := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(away)
	yaml := strings.Replace(mixedOf(up, away, "{}", "{}", "", dir), "extensions:\n", "extensions:\n  memory_limiter: {check_interval: 1s, limit_mib: 32}\n", 1)
	yaml = strings.Replace(yaml, "extensions: [", "extensions: [memory_limiter, ", 1)
	yaml = strings.Replace(yaml, "logs: {receivers: [otlp], exporters: [otlp/up, otlp/down]}", "logs: {receivers: [otlp], exporters: [otlp/down]}\n    traces: {receivers: [otlp], exporters: [otlp/up]}", 1)
	p := startPlaced(t, Options{}, yaml, up)
	answers := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	const senders = 500
	for range senders {
		go func() {
			_, err := p.client.Send(ctx, otlpclient.Request{Signal: otlp.Logs, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, 1)})
			answers <- err
		}()
	}
	refused := 0
	for ; refused < 200; refused++ {
		if e, ok := (<-answers).(*otlpclient.Error); !ok || !e.Retryable {
			t.Fatalf("a sender got %v, want to be asked to retry", e)
		}
	}
	if _, err := p.client.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Traces, 3)}); err != nil {
		t.Errorf("a request for another destination: %v", err)
	}
	cancel()
	for range senders - refused {
		<-answers
	}
	p.stop(t)
}

// The status can be asked for while the service starts, as by extensions, and when it has
// ended.
func TestStatusWhileStarting(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{}")}, Set: []string{"service.telemetry.metrics.level=none"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, Options{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			default:
				_ = s.graph().Queues()
			}
		}
	}()
	if err := errors.Join(s.Start(t.Context()), s.Shutdown(t.Context())); err != nil {
		t.Error(err)
	}
	close(end)
	<-ended
	if got := s.graph().Queues(); len(got) != 1 {
		t.Errorf("at the end there are %d queues, want 1", len(got))
	}
}
