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
