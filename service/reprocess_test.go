package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// observed is a configuration whose service.telemetry is %s.
const observed = `
receivers: {in: }
exporters: {out: }
service:
  telemetry: %s
  pipelines: {traces: {receivers: [in], exporters: [out]}}
`

// load reads YAML as it is.
func (f *fakes) load(t *testing.T, yaml string) *Config {
	t.Helper()
	cfg, err := LoadFrom(f.options(), Sources{URIs: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// startObserved starts a service whose service.telemetry is yaml.
func startObserved(t *testing.T, o func(*Options), telemetry string) (*fakes, *Service) {
	t.Helper()
	f := newFakes()
	opts := f.options()
	opts.Logger = nil
	o(&opts)
	s, err := New(f.load(t, fmt.Sprintf(observed, telemetry)), opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return f, s
}

// The log level changes for the loggers that components have; the level of metrics needs
// a restart, which is said each time, until it is what it was.
func TestReloadTelemetry(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f, s := startObserved(t, func(o *Options) { o.Stderr = &log }, `{logs: {level: warn}, metrics: {address: "localhost:0"}}`)
	derived := s.Logger().With("receiver", "in")
	derived.Debug("before")
	for _, c := range []struct {
		telemetry              string
		settings, needsRestart []string
	}{
		{`{logs: {level: debug}, metrics: {address: "localhost:0", level: detailed}}`,
			[]string{"service.telemetry.logs.level: warn -> debug"}, []string{"service.telemetry.metrics.level: normal -> detailed"}},
		{`{logs: {level: debug}, metrics: {address: "localhost:0", level: detailed}}`,
			nil, []string{"service.telemetry.metrics.level: normal -> detailed"}},
		{`{logs: {level: debug}, metrics: {address: "localhost:0"}, resource: {team: water}}`,
			nil, []string{"service.telemetry.resource.team: none -> water"}},
		{`{logs: {level: debug}, metrics: {address: "localhost:0"}}`, nil, nil},
	} {
		r, err := s.Reload(t.Context(), f.load(t, fmt.Sprintf(observed, c.telemetry)))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.Settings, c.settings) || !slices.Equal(r.NeedsRestart, c.needsRestart) || len(r.Kept) != 3 {
			t.Errorf("%s: %+v", c.telemetry, r)
		}
		derived.Debug("after")
	}
	if got := log.String(); strings.Contains(got, "before") || strings.Count(got, "after") != 4 {
		t.Errorf("logged %s", got)
	}
	status, err := s.status(t.Context())
	if err != nil || !strings.Contains(status.Config, "level: debug") || status.Reload.Time.IsZero() || status.Reload.Error != "" {
		t.Errorf("%v: the status has the reload %+v and the configuration\n%s", err, status.Reload, status.Config)
	}
}

// A reload that fails, in any part, leaves the log, the endpoint and the budget as they were.
func TestReloadTelemetryFails(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f, s := startObserved(t, func(o *Options) { o.Stderr = &log }, `{metrics: {address: "localhost:0"}}`)
	urls := s.Addresses()
	for _, yaml := range []string{
		fmt.Sprintf(observed, `{logs: {level: debug, output_paths: [`+filepath.Join(t.TempDir(), "none", "x.log")+`]}, metrics: {address: "localhost:0"}}`),
		fmt.Sprintf(observed, `{logs: {level: debug}, metrics: {address: "192.0.2.1:1"}}`),
		strings.Replace(fmt.Sprintf(observed, `{logs: {level: debug}, metrics: {address: "127.0.0.1:0"}}`), "{out: }", "{out: {fail_new: no}}", 1),
		strings.Replace(fmt.Sprintf(observed, `{logs: {level: debug}, metrics: {address: "127.0.0.1:0"}}`), "{out: }", "{out: {fail_start: no}}", 1),
	} {
		if r, err := s.Reload(t.Context(), f.load(t, yaml)); err == nil {
			t.Errorf("no error but %+v of %s", r, yaml)
		}
		s.Logger().Debug("too low")
	}
	if strings.Contains(log.String(), "too low") {
		t.Error("the log has another level")
	}
	if diff := cmp.Diff(urls, s.Addresses()); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
	if status, err := s.status(t.Context()); err != nil || status.Reload.Error == "" {
		t.Errorf("the status has %+v, %v", status.Reload, err)
	}
}

// An embedding program's log is not touched, and its settings are not reported.
func TestReloadWithOwnTelemetry(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	f, s := startObserved(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) }, `{metrics: {level: none}}`)
	r, err := s.Reload(t.Context(), f.load(t, fmt.Sprintf(observed, `{logs: {level: debug, encoding: json}, metrics: {level: none}}`)))
	if err != nil || len(r.Settings)+len(r.NeedsRestart) > 0 {
		t.Errorf("%v, %v", r, err)
	}
}

// ReloadFrom loads; SourcesChanged knows what the last reload has read.
func TestSourcesChanged(t *testing.T) {
	t.Parallel()
	f := newFakes()
	dir := t.TempDir()
	main, part := filepath.Join(dir, "main.yaml"), filepath.Join(dir, "part.yaml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(main, fmt.Sprintf(observed, "${file:"+part+"}"))
	write(part, "{metrics: {level: none}}")
	from := Sources{URIs: []string{main}}
	cfg, err := LoadFrom(f.options(), from)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, f.options())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown(t.Context())
	changed := func(want bool) {
		t.Helper()
		if got := s.SourcesChanged(from); got != want {
			t.Errorf("changed: %v, want %v", got, want)
		}
	}
	changed(false)
	write(main, fmt.Sprintf(observed, "${file:"+part+"}")+"# a comment")
	changed(false)
	write(part, "{metrics: {level: none}, logs: {level: debug}}")
	changed(true)
	if _, err := s.ReloadFrom(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	changed(false)
	write(main, fmt.Sprintf(observed, "${file:"+part+".new}"))
	changed(true)
	var refused *LoadError
	if _, err := s.ReloadFrom(t.Context(), from); !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	changed(false)
	if got, want := s.SourceFiles(), []string{main, part, part + ".new"}; !slices.Equal(got, want) {
		t.Errorf("the files are %v, want %v", got, want)
	}
	write(main, fmt.Sprintf(observed, "${file:"+part+"}")) // as in effect, but the last reload failed
	changed(true)
	if _, err := s.ReloadFrom(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	changed(false)
}

// limited is a memory of a configuration with this limit in MiB.
func limited(t *testing.T, runtime goRuntime, mib int) *memory {
	t.Helper()
	m, err := newMemory(limitOf(t, mib), available{}, runtime)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// limitOf is a configuration with this limit in MiB.
func limitOf(t *testing.T, mib int) *load.Config {
	t.Helper()
	cfg, err := loadAll(limiters(fmt.Sprint("limit_mib: ", mib)))
	if err != nil {
		t.Fatal(err)
	}
	return cfg.loaded
}

// After a smaller budget, requests in flight go on with the one that they began with, for
// a while; the limit of the Go runtime follows, and is restored at the end.
func TestMemoryBecomes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		limit := int64(math.MaxInt64)
		runtime := goRuntime{setLimit: func(n int64) int64 {
			before := limit
			if n >= 0 {
				limit = n
			}
			return before
		}, maySet: true}
		m := limited(t, runtime, 1000)
		m.apply()
		ticket, err := m.budget.Acquire(t.Context(), "x", 300<<20)
		if err != nil {
			t.Fatal(err)
		}
		become := func(mib int) {
			t.Helper()
			next, err := m.plan(limitOf(t, mib), available{})
			if err != nil {
				t.Fatal(err)
			}
			m.become(next)
			if limit != m.soft || m.budget.Stats().Limit != m.bytes || m.bytes != int64(mib)<<20*4/5/2 {
				t.Errorf("%d MiB: the runtime's limit is %d, the budget %d of %d", mib, limit, m.bytes, m.soft)
			}
		}
		become(500)
		if err := ticket.Reserve(400 << 20); err != nil {
			t.Errorf("a request in flight: %v", err)
		}
		var full *admission.Overload
		if _, err := m.budget.Acquire(t.Context(), "y", 1); !errors.As(err, &full) {
			t.Errorf("got %v, want an overload", err)
		}
		ticket.Shrink(100)
		time.Sleep(growWithin / 2)
		for _, mib := range []int{500, 501} { // other changes of the configuration
			become(mib)
			if err := ticket.Reserve(400 << 20); err != nil {
				t.Errorf("a request in flight, after the next change: %v", err)
			}
			ticket.Shrink(100)
		}
		time.Sleep(growWithin/2 + time.Second)
		if err := ticket.Reserve(400 << 20); !errors.As(err, &full) || !full.TooLarge {
			t.Errorf("got %v, want too large", err)
		}
		become(250)
		become(2000)
		time.Sleep(2 * growWithin)
		if err := ticket.Reserve(700 << 20); err != nil {
			t.Errorf("the budget is not that of the last change: %v", err)
		}
		ticket.Release()
		m.restore()
		if limit != math.MaxInt64 {
			t.Errorf("the runtime's limit is %d at the end", limit)
		}
	})
}

// Many reloads of the service's own settings, good ones and bad ones, while they are used:
// no line is lost, and no file and goroutine is left.
func TestReloadTelemetryManyTimes(t *testing.T) {
	t.Parallel()
	const reloads, writers = 150, 3
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	dir := t.TempDir()
	push := fmt.Sprintf("{otlp: {protocol: http/protobuf, endpoint: %q}}", backend.HTTPEndpoint())
	telemetry := func(n int) string {
		log := filepath.Join(dir, fmt.Sprint(n%2, ".log"))
		if n%10 == 9 {
			log = filepath.Join(dir, "none", "x.log")
		}
		host := []string{"localhost", "127.0.0.1"}[n%2]
		if n%10 == 4 {
			host = "192.0.2.1" // of another machine
		}
		return fmt.Sprintf(`{
  logs: {level: %s, encoding: %s, output_paths: [%s], processors: [{batch: {exporter: %s}}]},
  metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: 0}}}}, {periodic: {interval: %d, exporter: %s}}]},
  traces: {processors: [{simple: {exporter: %[4]s}}], sampler: {trace_id_ratio_based: {ratio: 0.%[8]d}}}}`,
			[]string{"info", "debug"}[n%2], []string{"json", "console"}[n/2%2], log, push, host, 10+n%2, push, n%3)
	}
	f, s := startObserved(t, func(*Options) {}, telemetry(0))
	tracer := s.settings.Tracer.Tracer("x")
	stop := make(chan struct{})
	var users sync.WaitGroup
	var logged atomic.Int64
	for n := range writers {
		log := s.Logger().With("writer", n)
		users.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				log.Info("a line of the test")
				logged.Add(1)
				_, span := tracer.Start(context.Background(), "s")
				span.End()
				if ticket, err := s.process.memory.budget.Acquire(t.Context(), "x", 1000); err == nil {
					ticket.Release()
				}
				if _, err := s.status(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range reloads {
		_, err := s.Reload(t.Context(), f.load(t, fmt.Sprintf(observed, telemetry(n))))
		if bad := n%5 == 4; (err != nil) != bad {
			t.Errorf("reload %d: %v", n, err)
		}
	}
	close(stop)
	users.Wait()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	found := 0
	for n := range 2 {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(n, ".log")))
		if err != nil {
			t.Fatal(err)
		}
		found += strings.Count(string(text), "a line of the test")
	}
	if int64(found) != logged.Load() {
		t.Errorf("%d lines are in the files, %d were logged", found, logged.Load())
	}
	for _, entry := range openFiles(t) {
		if strings.HasPrefix(entry, dir) {
			t.Errorf("%s is still open", entry)
		}
	}
}

// openFiles returns the names of the files that the process has open, on Linux.
func openFiles(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil // another system
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// A component that rejects its settings is an error like those of LoadFrom, with the
// warnings that could be the reason.
func TestReloadRefusedByAComponent(t *testing.T) {
	t.Parallel()
	f, s := startObserved(t, func(o *Options) { o.Stderr = io.Discard }, `{metrics: {level: none}}`)
	yaml := strings.Replace(fmt.Sprintf(observed, `{metrics: {level: none}}`), "{out: }", "{out: {fail_new: wrong}, out/2: }", 1)
	_, err := s.Reload(t.Context(), f.load(t, yaml))
	var refused *LoadError
	if !errors.As(err, &refused) || len(refused.Problems) != 1 || len(refused.Warnings) != 1 {
		t.Errorf("got %v, %+v", err, refused)
	}
}
