package service

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// An exporter that a pipeline does not have any more holds nothing of what comes in since,
// whether it held something or not; what it held is sent when it is there again.
func TestExporterTakenOutOfAPipeline(t *testing.T) {
	t.Parallel()
	for name, delivered := range map[string]bool{"it held nothing": true, "it held something": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
			if !delivered {
				isDown(down)
			}
			o := Options{DataDir: filepath.Join(dir, "data")}
			both := mixedOf(up, down, "{}", "{}", "", dir)
			one := strings.Replace(both, "[otlp/up, otlp/down]", "[otlp/up]", 1)
			send := func(yaml string, n, want int) {
				p := startPlaced(t, o, yaml, up)
				if err := p.sendLogs(t, n, enough); err != nil {
					t.Fatal(err)
				}
				up.Wait(t, otlp.Logs, want)
				if delivered && yaml == both {
					down.Wait(t, otlp.Logs, n)
				}
				p.stop(t)
			}
			send(both, 5, 5)
			send(one, 70, 75)
			send(one, 700, 775)
			down.Respond(nil)
			p := startPlaced(t, o, both, up)
			if err := p.sendLogs(t, 3, enough); err != nil {
				t.Error(err)
			}
			down.Wait(t, otlp.Logs, 8)
			up.Wait(t, otlp.Logs, 778)
			p.stop(t)
			if got := down.Items(otlp.Logs); got != 8 {
				t.Errorf("%d records delivered to the exporter, want 8", got)
			}
			if got := up.Items(otlp.Logs); got != 778 {
				t.Errorf("%d records delivered to the other one, want 778", got)
			}
			if got := folders(t, o.DataDir); len(got) != 1 || got[0] != "logs" {
				t.Errorf("queues %q are there, want one", got)
			}
		})
	}
}

// What an exporter held in the queue of its pipeline is sent from there when it names a
// storage, also if the pipeline keeps the queue for another exporter.
func TestOneOfTwoExportersMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(down)
	o := Options{DataDir: filepath.Join(dir, "data")}
	p := startPlaced(t, o, mixedOf(up, down, "{}", "{}", "", dir), up)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	up.Wait(t, otlp.Logs, 5)
	p.stop(t)
	down.Respond(nil)
	p = startPlaced(t, o, mixedOf(up, down, "{}", "{storage: file_storage/a}", "", dir), up)
	down.Wait(t, otlp.Logs, 5)
	p.stop(t)
}

// Two names of one directory are one directory.
func TestOneDirectoryByTwoNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", filepath.Join(dir, "b")); err != nil {
		t.Skipf("symbolic links are not permitted here: %v", err)
	}
	up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	for name, queue := range map[string]string{"two storages": "{storage: file_storage/b}", "a storage and the data directory": "{}"} {
		yaml := mixedOf(up, down, "{storage: file_storage/a}", queue, "", dir)
		yaml = strings.Replace(yaml, "logs: {receivers: [otlp], exporters: [otlp/up, otlp/down]}",
			"logs: {receivers: [otlp], exporters: [otlp/up]}\n    traces: {receivers: [otlp], exporters: [otlp/down]}", 1)
		p := startPlaced(t, Options{DataDir: filepath.Join(dir, "b")}, yaml, up)
		if err := p.sendLogs(t, 5, enough); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := folders(t, filepath.Join(dir, "a")); fmt.Sprint(got) != "[logs traces]" {
			t.Errorf("%s: queues %q", name, got)
		}
		if _, err := os.Stat(filepath.Join(dir, "a", "penstock", "control.sock")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.stop(t)
	}
}

// SIGTERM does not wait for senders that wait for room.
func TestStopWhileSendersWaitForRoom(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	p := startPlaced(t, Options{DataDir: t.TempDir()}, fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{queue_size: 1, block_on_overflow: true}"), b)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	result := make(chan error)
	go func() { result <- p.sendLogs(t, 5, enough) }()
	testkit.Eventually(t, "attempts", func() bool { return len(b.Calls()) > 3 })
	p.stop(t)
	if err := <-result; err == nil {
		t.Error("a request was acknowledged for which there was no room")
	}
}

// What queues in memory have acknowledged is sent at the end, also while another
// destination does not answer until the deadline.
func TestDrainBesideADeadDestination(t *testing.T) {
	t.Parallel()
	for name, pipelines := range map[string]string{
		"one pipeline":            "logs: {receivers: [otlp], exporters: [otlp/down, otlp/up]}",
		"two, the dead one first": "logs/1: {receivers: [otlp], exporters: [otlp/down]}\n    logs/2: {receivers: [otlp], exporters: [otlp/up]}",
		"two, the dead one last":  "logs/1: {receivers: [otlp], exporters: [otlp/up]}\n    logs/2: {receivers: [otlp], exporters: [otlp/down]}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
			isDown(up)
			isDown(down)
			yaml := strings.Replace(mixedOf(up, down, "{}", "{}", "", t.TempDir()), "logs: {receivers: [otlp], exporters: [otlp/up, otlp/down]}", pipelines, 1)
			p := startPlaced(t, Options{InMemory: true}, yaml, up)
			if err := p.sendLogs(t, 5, enough); err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, "attempts", func() bool { return len(up.Calls()) > 0 && len(down.Calls()) > 0 })
			up.Respond(nil)
			p.failsToStop = true
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			err := p.Shutdown(ctx)
			if err == nil || strings.Contains(err.Error(), "otlp/up") || strings.Count(err.Error(), "are lost") != 1 {
				t.Errorf("shut down: %v, want that the queue of one destination is lost", err)
			}
			if got := up.Items(otlp.Logs); got != 5 {
				t.Errorf("%d records delivered, want 5", got)
			}
		})
	}
}

// An exporter that is added to a pipeline does not get what was there before, also after
// an end of the process that left the files as they were.
func TestExporterAddedToAPipeline(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	both := mixedOf(up, down, "{}", "{}", "", dir)
	one := strings.Replace(both, "[otlp/up, otlp/down]", "[otlp/down]", 1)
	isDown(down)
	p := startPlaced(t, Options{DataDir: filepath.Join(dir, "data")}, one, up)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	p.stop(t)
	p = startPlaced(t, Options{DataDir: filepath.Join(dir, "data")}, both, up)
	if err := p.sendLogs(t, 3, enough); err != nil {
		t.Fatal(err)
	}
	up.Wait(t, otlp.Logs, 3)
	down.Respond(nil)
	down.Wait(t, otlp.Logs, 8)
	p.stop(t)
	if got := up.Items(otlp.Logs); got != 3 {
		t.Errorf("%d records delivered to the new exporter, want 3", got)
	}
}

// Behind the processor batch queue_size counts merged requests, as in the Collector: the
// requests of clients are in the queue, but may be much smaller.
func TestQueueSizeBehindBatch(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(b)
	yaml := fmt.Sprintf(withOneExporter, b.GRPCEndpoint(), "{queue_size: 2}")
	batched := strings.Replace(strings.Replace(yaml, "exporters: [otlp]", "processors: [batch], exporters: [otlp]", 1), "exporters:", "processors: {batch: {send_batch_size: 50}}\nexporters:", 1)
	for _, c := range []struct {
		name, yaml       string
		items, fit, size int
	}{
		{"without batch", yaml, 5, 2, 2},
		{"small requests", batched, 5, 11, 2}, // 50 items count as one
		{"large requests", batched, 500, 2, 2},
	} {
		p := startPlaced(t, Options{DataDir: t.TempDir()}, c.yaml, b)
		fit := 0
		for p.sendLogs(t, c.items, enough) == nil && fit < 100 {
			fit++
		}
		if fit != c.fit {
			t.Errorf("%s: %d requests of %d fit, want %d", c.name, fit, c.items, c.fit)
		}
		if _, page := fetch(t, p.metrics+"/metrics"); !hasSeries(page, "otelcol_exporter_queue_size{", c.size) {
			t.Errorf("%s: found %q", c.name, linesWith(page, "otelcol_exporter_queue_size"))
		}
		p.stop(t)
	}
}

// Where nothing can be set aside, as on a full disk, the queue goes on as it is.
func TestNothingCanBeSetAside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	up, down := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	isDown(down)
	o := Options{DataDir: filepath.Join(dir, "data")}
	both := mixedOf(up, down, "{}", "{}", "", dir)
	one := strings.Replace(both, "[otlp/up, otlp/down]", "[otlp/up]", 1)
	p := startPlaced(t, o, both, up)
	if err := p.sendLogs(t, 5, enough); err != nil {
		t.Fatal(err)
	}
	up.Wait(t, otlp.Logs, 5)
	p.stop(t)
	if err := os.WriteFile(filepath.Join(o.DataDir, "penstock", "pipelines", "logs,next"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p = startPlaced(t, o, one, up)
	if err := p.sendLogs(t, 7, enough); err != nil {
		t.Error(err)
	}
	up.Wait(t, otlp.Logs, 12)
	p.stop(t)
	if !strings.Contains(p.log.String(), "was not set aside") {
		t.Error("it is not logged")
	}
	if got := folders(t, o.DataDir); len(got) != 1 || got[0] != "logs" {
		t.Errorf("queues %q are there, want one", got)
	}
	down.Respond(nil)
	p = startPlaced(t, o, both, up)
	down.Wait(t, otlp.Logs, 5)
	p.stop(t)
}
