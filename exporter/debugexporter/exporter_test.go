package debugexporter

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var (
	_ pipeline.Consumer  = (*Exporter)(nil)
	_ pipeline.Component = (*Exporter)(nil)
	_ pipeline.Named     = (*Exporter)(nil)
)

// records is a slog handler that remembers.
type records struct {
	mu    sync.Mutex
	level slog.Level
	got   []slog.Record
}

func (r *records) Enabled(_ context.Context, l slog.Level) bool { return l >= r.level }
func (r *records) WithAttrs([]slog.Attr) slog.Handler           { return r }
func (r *records) WithGroup(string) slog.Handler                { return r }
func (r *records) Handle(_ context.Context, rec slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, rec)
	return nil
}

func newInLog(t testing.TB, h slog.Handler, change func(*Config)) *Exporter {
	t.Helper()
	cfg := DefaultConfig()
	change(&cfg)
	e, err := New(cfg, component.Settings{ID: "debug/x", Logger: slog.New(h)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestInternalLogger(t *testing.T) {
	for _, v := range verbosities {
		h := &records{}
		e := newInLog(t, h, func(c *Config) { c.Verbosity = Verbosity(strings.ToUpper(string(v))) })
		if err := e.Consume(t.Context(), batchOf(t, otlp.Metrics, metricsRequest(plainWord))); err != nil {
			t.Fatal(err)
		}
		var attrs []string
		h.got[0].Attrs(func(a slog.Attr) bool { attrs = append(attrs, a.String()); return true })
		if got := h.got[0].Message + " " + strings.Join(attrs, ","); got != "Metrics resource metrics=1,metrics=6,data points=8" {
			t.Errorf("%s: summary %s", v, got)
		}
		switch {
		case v == Basic && len(h.got) != 1, v != Basic && len(h.got) != 2:
			t.Errorf("%s: %d records", v, len(h.got))
		case v != Basic:
			want := render(t, otlp.Metrics, v, metricsRequest(plainWord), maxTextBytes)
			if h.got[1].Message+"\n" != want || h.got[1].NumAttrs() != 0 {
				t.Errorf("%s: the text is another", v)
			}
		}
	}
}

func TestNothingIsDoneForALogThatIsOff(t *testing.T) {
	h := &records{level: slog.LevelWarn}
	e := newInLog(t, h, func(c *Config) { c.SamplingThereafter = 0; c.SamplingInitial = 1 })
	b := batchOf(t, otlp.Traces, tracesRequest(plainWord))
	for range 3 {
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	h.level = slog.LevelInfo
	if err := e.Consume(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if len(h.got) != 1 {
		t.Errorf("%d records", len(h.got))
	}
}

func TestSampling(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, test := range []struct {
		initial, thereafter int
		want                string
	}{
		{2, 1, "xxxxxxxxxx"},
		{2, 3, "xx..x..x.."},
		{0, 4, "...x...x.."},
		{3, 0, "xxx......."},
	} {
		s := newSampler(test.initial, test.thereafter, func() time.Time { return now })
		for range 2 { // each second begins anew
			got := ""
			for range 10 {
				if s.take(otlp.Traces) {
					got += "x"
				} else {
					got += "."
				}
			}
			if got != test.want {
				t.Errorf("%d, %d: got %s, want %s", test.initial, test.thereafter, got, test.want)
			}
			if test.initial > 0 && !s.take(otlp.Logs) {
				t.Error("signals are sampled together")
			}
			now = now.Add(time.Second)
		}
	}
}

func TestSampledBatchesAreKeptAndCounted(t *testing.T) {
	meter := testkit.NewMeter()
	cfg := DefaultConfig()
	cfg.SamplingInitial, cfg.SamplingThereafter = 1, 0
	h := &records{}
	e, err := New(cfg, component.Settings{ID: "debug", Logger: slog.New(h), Meter: meter})
	if err != nil {
		t.Fatal(err)
	}
	e.sampler.now = func() time.Time { return time.Unix(1, 0) }
	for range 5 {
		if err := e.Consume(t.Context(), batchOf(t, otlp.Logs, logsRequest(plainWord))); err != nil {
			t.Fatal(err)
		}
	}
	if len(h.got) != 1 {
		t.Errorf("%d records", len(h.got))
	}
	if n := meter.Sum(t, "otelcol_exporter_sent_log_records"); n != 10 {
		t.Errorf("otelcol_exporter_sent_log_records is %d, want 10", n)
	}
}

func TestOutputPaths(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "out.txt")
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.UseInternalLogger, cfg.OutputPaths = false, []string{file, "stderr", filepath.Join(dir, "new.txt")}
	e, err := New(cfg, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	e.stdout, e.stderr = &stdout, &stderr
	b := batchOf(t, otlp.Traces, tracesRequest(plainWord))
	consume := func() {
		t.Helper()
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	consume() // not started: nowhere to show it
	for range 2 {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	consume()
	for range 2 {
		if err := e.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	consume()
	const line = "Traces\t{\"resource spans\": 2, \"spans\": 3}\n"
	if got, err := os.ReadFile(file); err != nil || string(got) != "before\n"+line {
		t.Errorf("file: %q, %v", got, err)
	}
	if stderr.String() != line || stdout.Len() != 0 {
		t.Errorf("stderr %q, stdout %q", stderr.String(), stdout.String())
	}
	if info, err := os.Stat(cfg.OutputPaths[2]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	cfg.OutputPaths = []string{file, filepath.Join(dir, "missing", "f")}
	if e, err = New(cfg, component.Settings{ID: "debug/x"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "debug/x") {
		t.Errorf("Start with a path that cannot be: %v", err)
	}
}

// flaky fails as long as it is told to.
type flaky struct{ err error }

func (f *flaky) Write(p []byte) (int, error) { return len(p), f.err }

func TestFailingOutputIsReportedOnceAndBlocksNothing(t *testing.T) {
	h, out := &records{}, &flaky{err: errors.New("broken pipe")}
	e := newInLog(t, h, func(c *Config) { c.UseInternalLogger = false })
	e.stdout = out
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		err     error
		reports int
	}{{out.err, 1}, {out.err, 1}, {nil, 1}, {out.err, 2}} {
		out.err = step.err
		if err := e.Consume(t.Context(), batchOf(t, otlp.Logs, logsRequest(plainWord))); err != nil {
			t.Fatal(err)
		}
		if len(h.got) != step.reports {
			t.Errorf("%d reports, want %d", len(h.got), step.reports)
		}
	}
}

func TestConcurrentBatchesDoNotMix(t *testing.T) {
	e, out := startPlain(t, Detailed)
	want := map[string]int{}
	var batches []*pipeline.Batch
	for _, s := range otlp.Signals() {
		b := batchOf(t, s, requests[s](plainWord))
		batches = append(batches, b)
		before := out.Len()
		if err := e.Consume(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		want[out.String()[before:]] = 20
	}
	out.Reset()
	var wg sync.WaitGroup
	for _, b := range batches {
		wg.Go(func() {
			for range 20 {
				if err := e.Consume(context.Background(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	rest := out.String()
	for block, n := range want {
		if got := strings.Count(rest, block); got != n {
			t.Errorf("%d whole blocks, want %d:\n%.60s", got, n, block)
		}
		rest = strings.ReplaceAll(rest, block, "")
	}
	if rest != "" {
		t.Errorf("%d bytes are left over", len(rest))
	}
}

func TestNameAndCapabilities(t *testing.T) {
	e := newInLog(t, &records{}, func(*Config) {})
	if e.Name() != "debug/x" || e.Capabilities().MutatesData || e.Start(t.Context()) != nil || e.Shutdown(t.Context()) != nil {
		t.Errorf("name %q, capabilities %+v", e.Name(), e.Capabilities())
	}
}

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "",
		`{verbosity: Detailed, sampling_initial: 5, sampling_thereafter: 200}`: "",
		`{use_internal_logger: false, output_paths: [stderr]}`:                 "",
		`{sending_queue: {queue_size: 3}}`:                                     "",
		`{verbosity: none}`:                                                    `verbosity: unknown verbosity "none", expected basic, normal or detailed`,
		`{sampling_initial: -1}`:                                               "sampling_initial: -1 is negative",
		`{sampling_thereafter: -1}`:                                            "sampling_thereafter: -1 is negative",
		`{output_paths: [x]}`:                                                  "need use_internal_logger: false",
		`{use_internal_logger: false, output_paths: []}`:                       "found none",
		`{loglevel: debug}`:                                                    "unknown key",
	} {
		cfg, err := decode(t, text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, expected %q", text, err, want)
		}
		_, err = New(cfg, component.Settings{})
		if unseen := strings.Contains(text, "loglevel"); !unseen && (err == nil) != (want == "") {
			t.Errorf("New with %s: %v", text, err)
		}
		if got, want := len(cfg.Warnings()), strings.Count(text, "sending_queue"); got != want {
			t.Errorf("%s: %d warnings", text, got)
		}
	}
	cfg, err := decode(t, `{sending_queue: {enabled: false}}`)
	if err != nil || len(cfg.Warnings()) != 0 {
		t.Errorf("a queue that is off: %v, %v", cfg.Warnings(), err)
	}
}
