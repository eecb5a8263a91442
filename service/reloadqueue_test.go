package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// reload replaces the configuration, and waits until what it has replaced is gone.
func (p *placedRig) reload(t *testing.T, yaml string) (*Reloaded, error) {
	t.Helper()
	cfg, err := LoadFrom(p.opts, Sources{URIs: []string{"yaml:" + yaml}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Reload(t.Context(), cfg)
	if p.retirement.ended != nil {
		<-p.retirement.ended
	}
	return r, err
}

// What waits in a queue survives any change of the queue or of its exporter, and is
// delivered once, whether the queue is on disk or in memory.
func TestReloadOfAQueue(t *testing.T) {
	t.Parallel()
	const queue = "    sending_queue: %s\n"
	storage := func(yaml, dir string) string {
		return strings.Replace(yaml, "service:\n", fmt.Sprintf("extensions: {file_storage: {directory: %q}}\nservice:\n  extensions: [file_storage]\n", dir), 1)
	}
	for _, c := range []struct {
		name, from, to string // of sending_queue
		more           string // keys of the exporter that the second has
		inMemory       bool
		keeps          bool // the queue
		left           bool // on disk: the exporter has no queue there any more
	}{
		{name: "the exporter", from: "{}", to: "{}", more: "    timeout: 7s\n", keeps: true},
		{name: "the queue", from: "{}", to: "{num_consumers: 3}"},
		{name: "to a storage", from: "{}", to: "{storage: file_storage}"},
		{name: "from a storage", from: "{storage: file_storage}", to: "{}"},
		{name: "to memory", from: "{}", to: "{wait_for_result: true}", left: true},
		{name: "the exporter, in memory", from: "{}", to: "{}", more: "    timeout: 7s\n", inMemory: true, keeps: true},
		{name: "the queue, in memory", from: "{}", to: "{num_consumers: 3}", inMemory: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
			isDown(b)
			yaml := func(section, more string) string {
				text := strings.Replace(withOneExporter, queue, more+queue, 1)
				return storage(fmt.Sprintf(text, b.GRPCEndpoint(), section), filepath.Join(dir, "storage"))
			}
			p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), InMemory: c.inMemory, DrainWithin: time.Second}, yaml(c.from, ""), b)
			if err := p.sendLogs(t, 5, enough); err != nil {
				t.Fatal(err)
			}
			before := p.graph().Queues()
			r, err := p.reload(t, yaml(c.to, c.more))
			if err != nil {
				t.Fatal(err)
			}
			if left := strings.Join(r.Left, "; "); c.left != strings.Contains(left, "5 items") {
				t.Errorf("left: %q", left)
			}
			after := p.graph().Queues()
			if len(before) != 1 || len(after) != 1 || c.keeps && after[0].Accepted != before[0].Accepted {
				t.Errorf("queues %+v, then %+v", before, after)
			}
			b.Respond(nil)
			if err := p.sendLogs(t, 3, enough); err != nil {
				t.Error(err)
			}
			want := 8
			if c.left {
				want = 3
			}
			b.Wait(t, otlp.Logs, want)
			p.stop(t)
			if got := b.Items(otlp.Logs); got != want {
				t.Errorf("%d records delivered, want %d", got, want)
			}
		})
	}
}

// An exporter that is removed leaves its data on disk, which is reported, and sent when it
// is there again.
func TestReloadWithoutAnExporter(t *testing.T) {
	t.Parallel()
	dir, up, down := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(down)
	both := mixedOf(up, down, "{}", "{}", "", dir)
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: time.Second}, both, up)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	r, err := p.reload(t, strings.Replace(both, "[otlp/up, otlp/down]", "[otlp/up]", 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Left) != 1 || !strings.Contains(r.Left[0], `5 items for exporter "otlp/down" of pipeline "logs"`) || !strings.Contains(r.String(), r.Left[0]) {
		t.Errorf("left %q\n%s", r.Left, r)
	}
	down.Respond(nil)
	if err := p.sendLogs(t, 70, enough); err != nil {
		t.Fatal(err)
	}
	up.Wait(t, otlp.Logs, 75)
	if r, err = p.reload(t, both); err != nil || len(r.Left) > 0 {
		t.Errorf("%v, %v", r, err)
	}
	if err := p.sendLogs(t, 3, enough); err != nil {
		t.Fatal(err)
	}
	down.Wait(t, otlp.Logs, 8)
	up.Wait(t, otlp.Logs, 78)
	p.stop(t)
	if got := down.Items(otlp.Logs); got != 8 {
		t.Errorf("%d records delivered to the exporter that was away, want 8", got)
	}
}

// If the last part of a configuration does not start, everything that was closed for the
// others is open again: queues with what they hold, left queues, and files.
func TestReloadFailsLate(t *testing.T) {
	t.Parallel()
	dir, b := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	for _, bad := range []string{"storage2/penstock"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, bad)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, bad), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := newFakes()
	o := Options{DataDir: filepath.Join(dir, "data"), DrainWithin: time.Second}
	o.Components = append(builtins().Components, slices.DeleteFunc(f.descriptors(), func(d component.Descriptor) bool { return d.Type != "out" })...)
	// The second pipeline comes after the first; its storage cannot be used.
	yaml := func(consumers int, out, second string) string {
		text := strings.Replace(withOneExporter, "exporters: [otlp]}", "exporters: [otlp, out]}, logs/second: {receivers: [otlp], exporters: ["+second+"]}", 1)
		text = strings.Replace(text, "exporters:\n", "exporters:\n  nop:\n  out: "+out+"\n  otlp/second: {endpoint: \"%[1]s\", sending_queue: {storage: file_storage}}\n", 1)
		text = strings.Replace(text, "service:\n", fmt.Sprintf("extensions: {file_storage: {directory: %q}}\nservice:\n  extensions: [file_storage]\n", filepath.Join(dir, "storage2")), 1)
		text = strings.Replace(strings.Replace(text, "\"%s\"", "\"%[1]s\"", 1), "sending_queue: %s", "sending_queue: %[2]s", 1)
		return fmt.Sprintf(text, b.GRPCEndpoint(), fmt.Sprintf("{num_consumers: %d}", consumers))
	}
	p := startPlaced(t, o, yaml(1, "{writes: a}", "nop"), b)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	f.take()
	if _, err := p.reload(t, yaml(2, "{writes: a, mutates: true}", "otlp/second")); err == nil || !strings.Contains(err.Error(), "storage2/penstock") || !strings.Contains(err.Error(), "exporters.otlp/second: ") {
		t.Errorf("got %v", err)
	}
	if got := f.take(); got != "stop out; start out; stop out; start out" {
		t.Errorf("the exporter that was closed: %s", got)
	}
	if err := p.sendLogs(t, 3, enough); err != nil {
		t.Error(err)
	}
	if last := f.made["out"][len(f.made["out"])-1]; len(last.batches) != 1 {
		t.Errorf("the exporter got %v since", last.batches)
	}
	b.Respond(nil)
	b.Wait(t, otlp.Logs, 8)
	if r, err := p.reload(t, yaml(2, "{writes: a, mutates: true}", "nop")); err != nil || len(r.Changed) != 2 {
		t.Errorf("a good one after it: %v, %v", r, err)
	}
	if err := p.sendLogs(t, 2, enough); err != nil {
		t.Error(err)
	}
	b.Wait(t, otlp.Logs, 10)
	p.stop(t)
	if got := b.Items(otlp.Logs); got != 10 {
		t.Errorf("%d records delivered, want 10", got)
	}
}

// Two exporters of files exchange their files: what comes in is in the file of its
// exporter, and each file is written by one at a time.
func TestReloadSwapsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	yaml := func(first, second string) string {
		return fmt.Sprintf(`
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  file/1: {path: %q}
  file/2: {path: %q}
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [file/1]}
    traces: {receivers: [otlp], exporters: [file/2]}
`, first, second)
	}
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	p := startPlaced(t, Options{DrainWithin: time.Second}, yaml(file("a"), file("b")), b)
	lines := func(name string) int {
		text, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	for i, paths := range [][2]string{{"a", "b"}, {"b", "a"}, {"a", "c"}, {"c", "a"}} {
		if _, err := p.reload(t, yaml(file(paths[0]), file(paths[1]))); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
		if err := p.sendLogs(t, 1, enough); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(enough)
		for lines(paths[0]) == 0 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if got := lines(paths[1]); got != 0 {
			t.Errorf("%d: the file of the other exporter has %d lines", i, got)
		}
		if got := lines(paths[0]); got != 1 {
			t.Errorf("%d: the file has %d lines, want 1", i, got)
		}
	}
	p.stop(t)
}

// A reload that is cut off leaves everything as it was.
func TestReloadCutOff(t *testing.T) {
	t.Parallel()
	f := newFakes()
	s := f.service(t, threePipelines)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Reload(ctx, f.config(t, strings.Replace(threePipelines, "{out: , ", "{out: {mutates: true}, ", 1))); err == nil {
		t.Error("it succeeds")
	}
	if err := f.send(t, "in", otlp.Traces); err != nil {
		t.Error(err)
	}
}

// An exporter moves from the queue that it shares to another storage and back while
// requests come in: each acknowledged one arrives at both exporters, also those that waited
// for the queue.
func TestReloadMovesAnExporter(t *testing.T) {
	t.Parallel()
	dir, up, down := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	shared := mixedOf(up, down, "{}", "{}", "", dir)
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: 10 * time.Second}, shared, up)
	var sent atomic.Int64
	var senders sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	for range 8 {
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
	for i := range 40 {
		next := shared
		if i%2 == 0 {
			next = mixedOf(up, down, "{storage: file_storage/a}", "{}", "", dir)
		}
		if _, err := p.reload(t, next); err != nil {
			t.Error(err)
		}
	}
	cancel()
	senders.Wait()
	up.Wait(t, otlp.Logs, int(sent.Load()))
	down.Wait(t, otlp.Logs, int(sent.Load()))
	p.stop(t)
}

// An exporter that is removed sends what it has first, if it can: nothing is left on disk.
func TestReloadDrainsAnExporter(t *testing.T) {
	t.Parallel()
	dir, up, down := t.TempDir(), testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(down)
	both := strings.ReplaceAll(mixedOf(up, down, "{}", "{}", "", dir), "max_interval: 100ms", "max_interval: 2m")
	both = strings.ReplaceAll(both, "initial_interval: 20ms", "initial_interval: 2m")
	if !strings.Contains(both, "initial_interval: 2m") {
		t.Fatal("the exporters have no such intervals")
	}
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data"), DrainWithin: 10 * time.Second}, both, up)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	down.WaitArrived(t, 1) // the next attempt would be in a minute or two
	down.Respond(nil)
	r, err := p.reload(t, strings.Replace(both, "[otlp/up, otlp/down]", "[otlp/up]", 1))
	if err != nil || len(r.Left) > 0 {
		t.Errorf("%v, %v", r, err)
	}
	p.stop(t)
	if got := down.Items(otlp.Logs); got != 5 {
		t.Errorf("%d records delivered, want 5", got)
	}
}

// A request that has begun when its pipeline is removed goes all its way, to an exporter
// that is not shut down yet, though its receiver stays.
func TestReloadRemovesASignalDuringARequest(t *testing.T) {
	t.Parallel()
	f := newFakes()
	o := Options{Components: append(builtins().Components, slices.DeleteFunc(f.descriptors(), func(d component.Descriptor) bool { return d.Type != "out" })...)}
	const traces = "    traces: {receivers: [otlp], exporters: [out]}\n"
	const yaml = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
exporters: {out: , nop: }
service:
  pipelines:
    logs: {receivers: [otlp], exporters: [nop]}
` + traces
	p := startPlaced(t, o, yaml, testkit.NewBackend(t, testkit.BackendConfig{}))
	f.take()
	body := testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Traces, 3)
	rest, write := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Post(p.http+"/v1/traces", "application/x-protobuf", rest)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
		}
		answered <- err
	}()
	if _, err := write.Write(body[:10]); err != nil {
		t.Fatal(err)
	}
	for p.process.memory.budget.Stats().Admitted == 0 {
		time.Sleep(time.Millisecond)
	}
	cfg, err := LoadFrom(p.opts, Sources{URIs: []string{"yaml:" + strings.Replace(yaml, traces, "", 1)}, Set: []string{"service.telemetry.metrics.address=localhost:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := p.sendLogs(t, 1, enough); err != nil { // the receiver serves the rest
		t.Error(err)
	}
	if _, err := write.Write(body[10:]); err != nil {
		t.Error(err)
	}
	write.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
	<-p.retirement.ended
	if got := f.take(); got != "stop out" || len(f.made["out"][0].batches) != 1 {
		t.Errorf("the exporter has %q, and got %v", got, f.made["out"][0].batches)
	}
	p.stop(t)
}

// A request at a listener that a reload has opened waits until what is behind it has
// started, while the reload closes something else.
func TestReloadHoldsANewReceiver(t *testing.T) {
	t.Parallel()
	f, b := newFakes(), testkit.NewBackend(t, testkit.BackendConfig{})
	o := Options{DataDir: t.TempDir(), Components: append(builtins().Components, slices.DeleteFunc(f.descriptors(), func(d component.Descriptor) bool { return d.Type != "out" })...)}
	const before = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters:
  out: {writes: a, hang: true}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [out]}
`
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := lis.Addr().String()
	lis.Close()
	after := strings.NewReplacer(
		"hang: true}", fmt.Sprintf("mutates: true}\n  otlp: {endpoint: %q, tls: {insecure: true}}", b.GRPCEndpoint()),
		"exporters:\n", fmt.Sprintf("  otlp/new: {protocols: {grpc: {endpoint: %q}}}\nexporters:\n", address),
		"pipelines:\n", "pipelines:\n    logs: {receivers: [otlp/new], exporters: [otlp]}\n",
	).Replace(before)
	p := startPlaced(t, o, before, b)
	reloaded := make(chan error, 1)
	go func() {
		_, err := p.reload(t, after)
		reloaded <- err
	}()
	settings := config.DefaultGRPCClient()
	settings.Endpoint, settings.WaitForReady = "http://"+address, true
	client, err := otlpclient.NewGRPC(settings, enough)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	sent := make(chan error, 1)
	go func() {
		_, err := client.Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Logs, 3)})
		sent <- err
	}()
	for p.process.memory.budget.Stats().Admitted == 0 && len(sent) == 0 {
		time.Sleep(time.Millisecond)
	}
	close(f.hang) // the exporter that was there ends, and the reload goes on
	if err := errors.Join(<-sent, <-reloaded); err != nil {
		t.Error(err)
	}
	b.Wait(t, otlp.Logs, 3)
	p.stop(t)
}
