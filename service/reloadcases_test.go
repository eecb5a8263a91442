package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// slowRefusal is an exporter that refuses for good when it is allowed to.
type slowRefusal struct{ inside, allowed chan struct{} }

func (slowRefusal) Start(context.Context) error         { return nil }
func (slowRefusal) Shutdown(context.Context) error      { return nil }
func (slowRefusal) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }
func (s slowRefusal) Consume(context.Context, *pipeline.Batch) error {
	s.inside <- struct{}{}
	<-s.allowed
	return pipeline.Permanently(errors.New("refused late"))
}

// A request that is in the graph before when exporters leave its queue, and that is
// refused for good by a branch, has its dead letter in the present queue.
func TestReloadWhileARequestIsRefused(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	late := slowRefusal{make(chan struct{}), make(chan struct{})}
	descriptor := component.Descriptor{Kind: component.KindExporter, Type: "late", Stability: component.AllSignals("x"), DefaultConfig: func() any { return &fakeConfig{} },
		Exporter: func(any, component.Settings) (component.Exporter, error) { return late, nil }}
	o := Options{DataDir: filepath.Join(dir, "data"), DrainWithin: 10 * time.Second, Components: append(builtins().Components, descriptor)}
	yaml := func(exporters string) string {
		return fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  late:
  nop:
  otlp/1: {endpoint: "%[1]s", tls: {insecure: true}}
  otlp/2: {endpoint: "%[1]s", tls: {insecure: true}}
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [nop]}
    logs/refused: {receivers: [otlp], exporters: [late, %s]}
`, b.GRPCEndpoint(), exporters)
	}
	p := startPlaced(t, o, yaml("otlp/1, otlp/2"), b)
	answer := make(chan error, 1)
	go func() { answer <- p.sendLogs(t, 5, enough) }()
	<-late.inside
	if _, err := p.ReloadFrom(t.Context(), Sources{URIs: []string{"yaml:" + yaml("otlp/1")}, Set: []string{"service.telemetry.metrics.address=localhost:0"}}); err != nil {
		t.Fatal(err)
	}
	close(late.allowed)
	if err := <-answer; err != nil {
		t.Errorf("the sender got %v; the request is a dead letter", err)
	}
	p.stop(t)
}

// A storage that has another name now, and the same directory, has its queues: what comes in
// meanwhile waits, and what they hold is sent. After a reload that fails they are open.
func TestReloadRenamesAStorage(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	yaml := func(storage string) string {
		text := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{}")
		if storage != "" {
			text = strings.Replace(text, "sending_queue: {}", "sending_queue: {storage: "+storage+"}", 1)
			text = strings.Replace(text, "service:\n", fmt.Sprintf("extensions: {%s: {directory: %q}}\nservice:\n  extensions: [%[1]s]\n", storage, filepath.Join(dir, "data")), 1)
		}
		return text
	}
	bad := filepath.Join(dir, "bad")
	if err := errors.Join(os.Mkdir(bad, 0o700), os.WriteFile(filepath.Join(bad, "penstock"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	fails := func(yaml string) string { // at its last queue
		yaml = strings.Replace(yaml, "exporters: [otlp]}", "exporters: [otlp]}, logs/fails: {receivers: [otlp], exporters: [otlp/fails]}", 1)
		yaml = strings.Replace(yaml, "exporters:\n", "exporters:\n  otlp/fails: {endpoint: 'localhost:1', sending_queue: {storage: file_storage/fails}}\n", 1)
		if !strings.Contains(yaml, "extensions: ") {
			return strings.Replace(yaml, "service:\n", "extensions: {file_storage/fails: {directory: "+bad+"}}\nservice:\n  extensions: [file_storage/fails]\n", 1)
		}
		return strings.Replace(strings.Replace(yaml, "extensions: {", "extensions: {file_storage/fails: {directory: "+bad+"}, ", 1), "extensions: [", "extensions: [file_storage/fails, ", 1)
	}
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: time.Second}, yaml("file_storage"), b)
	want := 0
	send := func() {
		t.Helper()
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Error(err)
		}
		want += 5
	}
	send()
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	var sent atomic.Int64
	for range 4 {
		senders.Go(func() {
			for ctx.Err() == nil {
				if err := p.sendLogs(t, 1, enough); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	for _, storage := range []string{"file_storage/2", "", "file_storage", "file_storage/2"} {
		if _, err := p.reload(t, fails(yaml(storage))); err == nil || !strings.Contains(err.Error(), "bad/penstock") {
			t.Errorf("a storage that cannot be used: %v", err)
		}
		send()
		if r, err := p.reload(t, yaml(storage)); err != nil || len(r.Left) > 0 {
			t.Errorf("%q: %v, %v", storage, r, err)
		}
		send()
	}
	cancel()
	senders.Wait()
	b.Respond(nil)
	b.Wait(t, otlp.Logs, want+int(sent.Load()))
	p.stop(t)
	if got := b.Items(otlp.Logs); got != want+int(sent.Load()) {
		t.Errorf("%d records delivered, want %d", got, want+int(sent.Load()))
	}
}

// The rates and the CPU profile of the extension pprof are those of the process: they are
// those of the configuration in effect.
func TestReloadOfProfilesOfTheProcess(t *testing.T) { // not parallel
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := func(more string) string {
		return strings.Replace(fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{}"), "service:\n", "extensions: {pprof: {endpoint: 'localhost:0'"+more+"}}\nservice:\n  extensions: [pprof]\n", 1)
	}
	fails := func(yaml string) string { // at its last part
		return strings.Replace(yaml, "grpc: {endpoint: \"localhost:0\"}", "grpc: {endpoint: \"192.0.2.1:0\"}", 1)
	}
	first := fmt.Sprintf(", mutex_profile_fraction: 5, save_to_file: %q", filepath.Join(dir, "1"))
	p := startPlaced(t, Options{DataDir: dir, DrainWithin: time.Second}, yaml(first), b)
	for _, c := range []struct {
		yaml     string
		fails    bool
		fraction int
	}{
		{yaml: yaml(fmt.Sprintf(", mutex_profile_fraction: 7, save_to_file: %q", filepath.Join(dir, "2"))), fraction: 7},
		{yaml: fails(yaml(first)), fails: true, fraction: 7},
		{yaml: fails(yaml("")), fails: true, fraction: 7},
		{yaml: yaml(", mutex_profile_fraction: 5"), fraction: 5},
		{yaml: yaml(""), fraction: 0},
		{yaml: yaml(first), fraction: 5},
	} {
		if _, err := p.reload(t, c.yaml); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.yaml, err)
		}
		if got := runtime.SetMutexProfileFraction(-1); got != c.fraction {
			t.Errorf("the fraction is %d, want %d, with %s", got, c.fraction, c.yaml)
		}
	}
	p.stop(t)
}

// withLimiter is withOneExporter with a memory_limiter.
func withLimiter(b *testkit.Backend, queue string, mib int) string {
	text := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), queue)
	text = strings.Replace(text, "service:\n", fmt.Sprintf("processors: {memory_limiter: {check_interval: 1s, limit_mib: %d}}\nservice:\n", mib), 1)
	return strings.Replace(text, "exporters: [otlp]", "processors: [memory_limiter], exporters: [otlp]", 1)
}

// A queue in memory takes a share of the memory budget; if the budget becomes smaller than
// that, requests still have the rest.
func TestReloadOfTheMemoryOfAQueue(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	p := startPlaced(t, Options{InMemory: true, DataDir: t.TempDir(), DrainWithin: time.Second}, withLimiter(b, "{}", 1000), b)
	for i, mib := range []int{100, 1000, 100, 60, 1000} {
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Error(err)
		}
		if _, err := p.reload(t, withLimiter(b, fmt.Sprintf("{num_consumers: %d}", 1+i/2), mib)); err != nil {
			t.Error(err)
		}
		testkit.Eventually(t, "memory for requests", func() bool {
			memory := p.process.memory.budget.Stats()
			return memory.Used <= memory.Limit*3/16
		})
	}
	b.Wait(t, otlp.Logs, 25)
	p.stop(t)
}

// Queues in memory that are replaced and cannot send hold the memory of what is in them, and
// not that of what could be.
func TestReloadOfStuckQueuesInMemory(t *testing.T) {
	t.Parallel()
	const reloads = 20
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	p := startPlaced(t, Options{InMemory: true, DataDir: t.TempDir(), DrainWithin: time.Second}, withLimiter(b, "{}", 100), b)
	for n := range reloads {
		if err := p.sendLogs(t, 1, enough); err != nil {
			t.Fatal(err)
		}
		if _, err := p.reload(t, withLimiter(b, fmt.Sprintf("{num_consumers: %d}", n+1), 100)); err != nil {
			t.Fatalf("reload %d: %v", n, err)
		}
	}
	b.Respond(nil)
	b.Wait(t, otlp.Logs, reloads)
	p.stop(t)
}

// A queue in memory that was replaced and cannot send ends when its exporter is removed.
func TestReloadWithoutTheExporterOfAStuckQueue(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	p := startPlaced(t, Options{InMemory: true, DataDir: t.TempDir(), DrainWithin: 300 * time.Millisecond}, withLimiter(b, "{}", 100), b)
	unused := p.process.memory.budget.Stats().Used
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	if _, err := p.reload(t, withLimiter(b, "{num_consumers: 3}", 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.reload(t, strings.ReplaceAll(strings.ReplaceAll(withLimiter(b, "{}", 100), "  otlp:\n", "  otlp/other:\n"), "exporters: [otlp]", "exporters: [otlp/other]")); err != nil {
		t.Fatal(err)
	}
	if got := p.process.memory.budget.Stats().Used; got != unused {
		t.Errorf("%d bytes of memory are used, want %d, those of the new queue", got, unused)
	}
	if log := p.log.String(); !strings.Contains(log, "are lost: the queue was in memory") {
		t.Errorf("that data is lost is not logged:\n%s", log)
	}
	b.Respond(nil)
	if err := p.sendLogs(t, 3, enough); err != nil {
		t.Error(err)
	}
	b.Wait(t, otlp.Logs, 3)
	p.stop(t)
}

// What could not be opened again after a reload that failed is opened by the next one, also
// if its settings are the same.
func TestReloadAfterOneThatLeftSomethingClosed(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := func(consumers int, out string) string {
		text := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), fmt.Sprintf("{num_consumers: %d}", consumers))
		text = strings.Replace(text, "exporters:\n", fmt.Sprintf("exporters:\n  file: {path: %q%s}\n", filepath.Join(dir, "files", "out"), out), 1)
		return strings.Replace(text, "exporters: [otlp]", "exporters: [otlp, file]", 1)
	}
	if err := os.Mkdir(filepath.Join(dir, "files"), 0o700); err != nil {
		t.Fatal(err)
	}
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: time.Second}, yaml(1, ""), b)
	for _, path := range []string{filepath.Join(dir, "data", "penstock", "pipelines"), filepath.Join(dir, "files")} {
		if err := errors.Join(os.Rename(path, path+".away"), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
		next := yaml(1, ", flush_interval: 3s")
		if strings.Contains(path, "data") {
			next = yaml(2, "")
		}
		if _, err := p.reload(t, next); err == nil {
			t.Errorf("without %s: it succeeds", path)
		}
		if err := p.sendLogs(t, 1, time.Second); err == nil {
			t.Errorf("without %s: a request is acknowledged", path)
		}
		if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.reload(t, yaml(1, "")); err != nil {
			t.Errorf("with %s: %v", path, err)
		}
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Errorf("with %s: %v", path, err)
		}
	}
	p.stop(t)
}

// Receivers that are made again after a failed reload may be asked for their state meanwhile.
func TestStatusDuringAFailedReload(t *testing.T) {
	t.Parallel()
	const yaml = "receivers: {in: {writes: a}, in/2: {writes: b%s}}\nexporters: {out: }\nservice: {pipelines: {traces: {receivers: [in, in/2], exporters: [out]}}}\n"
	f := newFakes()
	s := f.service(t, fmt.Sprintf(yaml, ""))
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			_ = s.graph().Healthy()
			_ = s.Addresses()
		}
	})
	for range 20 {
		next := strings.Replace(fmt.Sprintf(yaml, ", fail_start: no"), "{writes: a}", "{writes: a, mutates: true}", 1)
		if _, err := f.reload(t, s, next); err == nil || !strings.Contains(err.Error(), "no") {
			t.Errorf("got %v", err)
		}
	}
	cancel()
	asking.Wait()
}

// No request fails while reloads fail at a queue: others that were not closed yet are open.
func TestRequestsDuringFailedReloads(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	yaml := func(consumers int, more string) string {
		text := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), fmt.Sprintf("{num_consumers: %d}", consumers))
		text = strings.Replace(text, "receivers:\n", "receivers:\n  otlp/unused: {protocols: {http: {endpoint: 'localhost:0'}}}\n", 1)
		return strings.Replace(text, "{logs: ", "{logs/first: {receivers: [otlp/unused], exporters: [otlp]}"+more+", logs: ", 1)
	}
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: time.Second}, yaml(1, ""), b)
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 16 {
		senders.Go(func() {
			for ctx.Err() == nil {
				if err := p.sendLogs(t, 1, enough); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	queues := filepath.Join(dir, "data", "penstock", "pipelines")
	// breakAt makes the queue of a pipeline fail, until repair is called.
	breakAt := func(name string) (repair func()) {
		path := filepath.Join(queues, name)
		_ = os.Rename(path, path+".away") // there may be none
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return func() {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			_ = os.Rename(path+".away", path)
		}
	}
	for i := range 60 {
		name, next := "logs%2Ffirst", yaml(2, "") // it is exchanged
		if i%2 == 0 {
			name, next = "logs%2Fsecond", yaml(2, ", logs/second: {receivers: [otlp/unused], exporters: [otlp]}") // it is new
		}
		repair := breakAt(name)
		if _, err := p.reload(t, next); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
		repair()
		if _, err := p.reload(t, yaml(1, "")); err != nil {
			t.Error(err)
		}
	}
	cancel()
	senders.Wait()
	p.stop(t)
}

// A reload that is given up while it waits for the end of the one before does not cut off the
// requests of that one.
func TestReloadGivenUpWhileItWaits(t *testing.T) {
	t.Parallel()
	b, slow := testkit.NewBackend(t, testkit.BackendConfig{}), slowRefusal{make(chan struct{}), make(chan struct{})}
	descriptor := component.Descriptor{Kind: component.KindExporter, Type: "late", Stability: component.AllSignals("x"), DefaultConfig: func() any { return &fakeConfig{} },
		Exporter: func(any, component.Settings) (component.Exporter, error) { return slow, nil }}
	o := Options{DrainWithin: 10 * time.Second, Components: append(builtins().Components, descriptor)}
	yaml := func(receiver string) string {
		return "receivers: {otlp: {protocols: {grpc: {endpoint: 'localhost:0'" + receiver + "}}}}\nexporters: {late: }\nservice: {pipelines: {logs: {receivers: [otlp], exporters: [late]}}}\n"
	}
	p := startPlaced(t, o, yaml(""), b)
	answer := make(chan error, 1)
	go func() { answer <- p.sendLogs(t, 5, enough) }()
	<-slow.inside
	reload := func(ctx context.Context, receiver string) error {
		_, err := p.ReloadFrom(ctx, Sources{URIs: []string{"yaml:" + yaml(receiver)}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
		return err
	}
	if err := reload(t.Context(), ", max_recv_msg_size_mib: 7"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := reload(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that its time is over", err)
	}
	close(slow.allowed)
	if err := <-answer; err == nil || !strings.Contains(err.Error(), "the pipeline refused the data") {
		t.Errorf("the request in flight got %v, want the answer of the exporter", err)
	}
	p.stop(t)
}
