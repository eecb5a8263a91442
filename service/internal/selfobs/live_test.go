package selfobs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// plan prepares the log for the section service.telemetry.logs.
func (l *Logging) plan(t *testing.T, yaml string) Change {
	t.Helper()
	c, err := l.Plan(decode(t, "{logs: "+yaml+"}").Logs)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newLogging(t *testing.T, yaml string, out *bytes.Buffer) *Logging {
	t.Helper()
	cfg := decode(t, "{logs: "+yaml+", resource: {service.instance.id: null}}")
	l := NewLogging(cfg.Logs, cfg.Resource.Build("v1", "id"), Outputs{Stderr: out, Stdout: out})
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	return l
}

// Loggers that were derived before a change log as it says, with their own attributes.
func TestDerivedLoggersFollow(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := newLogging(t, "{level: warn}", &out)
	derived := l.With("receiver", "otlp").WithGroup("tls").With("a", 1)
	derived.Info("too low")
	derived.Warn("one")
	l.plan(t, "{level: debug, encoding: json, disable_caller: true, disable_zap_resource: true, initial_fields: {f: x}}").Apply()
	derived.Debug("two", "b", 2)
	l.plan(t, "{level: info, sampling: {initial: 1, thereafter: 0}}").Apply()
	derived.Info("three")
	derived.Info("three")
	derived.Debug("too low")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := `TIME  WARN   one  receiver=otlp tls.a=1
{"ts":"TIME","level":"debug","msg":"two","f":"x","receiver":"otlp","tls":{"a":1,"b":2}}
TIME  INFO   three  receiver=otlp tls.a=1
`
	if diff := cmp.Diff(want, timestamps.ReplaceAllString(out.String(), "TIME")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Files are opened again by each change, as the rotation of logs needs it; a change that
// fails or is given up leaves the log as it was.
func TestLogFilesAreOpenedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	yaml := "{output_paths: ['" + path + "']}"
	l := newLogging(t, yaml, nil)
	l.Info("one")
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Plan(decode(t, "{logs: {output_paths: ['"+path+"', '"+filepath.Join(dir, "none", "b.log")+"']}}").Logs); err == nil || !strings.Contains(err.Error(), "b.log") {
		t.Errorf("got %v, want an error about the file", err)
	}
	l.plan(t, yaml).Undo()
	if n := timesOpen(t, path); n != 0 {
		t.Errorf("the new file is open %d times after the change was given up", n)
	}
	l.Info("two")
	l.plan(t, yaml).Apply()
	l.Info("three")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{path + ".1": "one two", path: "three"} {
		text, err := os.ReadFile(file)
		if got := strings.Join(wordsIn(string(text), "one", "two", "three"), " "); err != nil || got != want {
			t.Errorf("%s has %q, want %q (%v)", filepath.Base(file), got, want, err)
		}
	}
}

// timesOpen returns how often the process has a file open, on Linux.
func timesOpen(t *testing.T, path string) (times int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0 // another system
	}
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name())); err == nil && name == path {
			times++
		}
	}
	return times
}

func wordsIn(text string, words ...string) []string {
	return slices.DeleteFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// No line is lost or cut while the log changes all the time.
func TestLogChangesUnderLoad(t *testing.T) {
	t.Parallel()
	const writers, lines, changes = 4, 300, 60
	dir := t.TempDir()
	file := func(n int) string { return filepath.Join(dir, fmt.Sprint(n%3, ".log")) }
	l := newLogging(t, "{output_paths: ['"+file(0)+"']}", nil)
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			log := l.With("writer", w)
			for n := range lines {
				log.Info("line", "n", n)
			}
		})
	}
	for n := range changes {
		c := l.plan(t, fmt.Sprintf("{output_paths: ['%s'], encoding: %s}", file(n), []string{"json", "console"}[n%2]))
		if n%7 == 0 {
			c.Undo()
		} else {
			c.Apply()
		}
	}
	all.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := 0
	for n := range 3 {
		text, err := os.ReadFile(file(n))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "writer") || !strings.HasSuffix(line, "\n") {
				t.Fatalf("%q", line)
			}
			got++
		}
	}
	if got != writers*lines {
		t.Errorf("%d lines, want %d", got, writers*lines)
	}
}

// Lines that are pushed go to the new destination from a change on; what the old one had
// is sent.
func TestLogPushChanges(t *testing.T) {
	t.Parallel()
	first, second := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	push := func(b *testkit.Backend) string {
		return fmt.Sprintf("{output_paths: [], processors: [{batch: {schedule_delay: 3600000, exporter: {otlp: {protocol: http/protobuf, endpoint: %q}}}}]}", b.HTTPEndpoint())
	}
	l := newLogging(t, push(first), nil)
	l.Info("one")
	l.plan(t, push(second)).Undo()
	l.Info("two")
	l.plan(t, push(second)).Apply()
	l.Info("three")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if first.Items(otlp.Logs) != 2 || second.Items(otlp.Logs) != 1 {
		t.Errorf("%d and %d lines arrived, want 2 and 1", first.Items(otlp.Logs), second.Items(otlp.Logs))
	}
}

// Spans that began before a change end in the new processors, and those of the old ones are
// sent.
func TestTracesChange(t *testing.T) {
	t.Parallel()
	first, second := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	traces := func(b *testkit.Backend, more string) TracesConfig {
		return decode(t, fmt.Sprintf("{traces: {processors: [{batch: {schedule_delay: 3600000, exporter: {otlp: {protocol: http/protobuf, endpoint: %q}}}}]%s}}", b.HTTPEndpoint(), more)).Traces
	}
	tr := NewTraces(traces(first, ""), (&ResourceConfig{}).Build("v1", "id"), nil)
	if err := tr.Start(slog.New(slog.DiscardHandler), os.Stdout); err != nil {
		t.Fatal(err)
	}
	tracer := tr.Provider.Tracer("x")
	span := func() { _, s := tracer.Start(t.Context(), "s"); s.End() }
	change := func(cfg TracesConfig) Change {
		c, err := tr.Plan(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	span()
	_, spanning := tracer.Start(t.Context(), "spanning")
	change(traces(second, "")).Undo()
	span()
	change(traces(second, "")).Apply()
	spanning.End()
	span()
	change(traces(second, ", sampler: {always_off: }")).Apply()
	span()
	change(decode(t, "{}").Traces).Apply()
	span()
	change(traces(second, "")).Apply()
	span()
	if err := tr.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if first.Items(otlp.Traces) != 2 || second.Items(otlp.Traces) != 3 {
		t.Errorf("%d and %d spans arrived, want 2 and 3", first.Items(otlp.Traces), second.Items(otlp.Traces))
	}

	off := NewTraces(decode(t, "{}").Traces, nil, nil)
	if c, err := off.Plan(traces(first, "")); err != nil || !slices.Equal(c.NeedsRestart, []string{"traces"}) {
		t.Errorf("got %+v, %v; want a restart", c, err)
	}
}

// No span is lost while the processors change all the time.
func TestTracesChangeUnderLoad(t *testing.T) {
	t.Parallel()
	var p liveProcessors
	kept := tracetest.NewInMemoryExporter()
	fresh := func() []sdktrace.SpanProcessor {
		return []sdktrace.SpanProcessor{sdktrace.NewSimpleSpanProcessor(closing{kept})}
	}
	p.replace(fresh())
	tp := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&p))
	var all sync.WaitGroup
	const writers, spans = 4, 500
	for range writers {
		all.Go(func() {
			for range spans {
				_, s := tp.Tracer("x").Start(context.Background(), "s")
				s.End()
			}
		})
	}
	for range 200 {
		old := p.replace(fresh())
		old.end()
		if err := shutdownAll(t.Context(), old.value); err != nil {
			t.Fatal(err)
		}
	}
	all.Wait()
	if got := len(kept.GetSpans()); got != writers*spans {
		t.Errorf("%d spans, want %d", got, writers*spans)
	}
}

// closing keeps the spans of an exporter when a processor ends.
type closing struct{ *tracetest.InMemoryExporter }

func (closing) Shutdown(context.Context) error { return nil }

// metricsRig is a Metrics that runs.
type metricsRig struct{ *Metrics }

// endpointsOf returns the endpoints of a configuration, as package load does.
func endpointsOf(cfg MetricsConfig) (all []Endpoint) {
	for _, r := range cfg.Readers {
		if r.Pull != nil {
			all = append(all, Endpoint{Address: r.Pull.Exporter.Prometheus.HostPort()})
		}
	}
	return all
}

func startMetrics(t *testing.T, yaml string) *metricsRig {
	t.Helper()
	cfg := decode(t, "{metrics: "+yaml+"}").Metrics
	m, err := NewMetrics(cfg, (&ResourceConfig{}).Build("v1", "id"), MetricsOptions{Endpoints: endpointsOf(cfg), Ready: func() bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(slog.New(slog.DiscardHandler), os.Stdout); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return &metricsRig{m}
}

func (m *metricsRig) plan(t *testing.T, yaml string) (Change, error) {
	t.Helper()
	cfg := decode(t, "{metrics: "+yaml+"}").Metrics
	return m.Plan(cfg, endpointsOf(cfg))
}

func (m *metricsRig) apply(t *testing.T, yaml string) Change {
	t.Helper()
	c, err := m.plan(t, yaml)
	if err != nil {
		t.Fatal(err)
	}
	c.Apply()
	return c
}

func pullFrom(host string, port int) string {
	return fmt.Sprintf("{pull: {exporter: {prometheus: {host: %s, port: %d}}}}", host, port)
}

func serves(address string) bool {
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + address + "/livez")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestMetricsAddressChanges(t *testing.T) {
	t.Parallel()
	a, b := freePort(t), freePort(t)
	at := func(port int) string { return fmt.Sprint("127.0.0.1:", port) }
	m := startMetrics(t, "{readers: ["+pullFrom("127.0.0.1", a)+"]}")
	keepAlive := &http.Client{Transport: &http.Transport{}}
	get := func() error {
		answer, err := keepAlive.Get("http://" + at(a) + "/livez")
		if err == nil {
			_, err = io.Copy(io.Discard, answer.Body) // the connection is used again
			answer.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := m.plan(t, "{readers: ["+pullFrom("127.0.0.1", taken.Addr().(*net.TCPAddr).Port)+"]}"); err == nil {
		t.Error("an address in use is accepted")
	}
	c, err := m.plan(t, "{readers: ["+pullFrom("127.0.0.1", b)+"]}")
	if err != nil {
		t.Fatal(err)
	}
	c.Undo()
	if !serves(at(a)) || serves(at(b)) {
		t.Error("a change that was given up has an effect")
	}
	m.apply(t, "{readers: ["+pullFrom("127.0.0.1", b)+"]}")
	if serves(at(a)) || !serves(at(b)) {
		t.Error("the address has not changed")
	}
	if err := get(); err != nil {
		t.Errorf("an open connection: %v", err)
	}
	keepAlive.CloseIdleConnections()
	// The same port of all addresses overlaps.
	m.apply(t, "{readers: ["+pullFrom("0.0.0.0", b)+"]}")
	if !serves(at(b)) || !serves(fmt.Sprint("127.0.0.2:", b)) {
		t.Error("0.0.0.0 does not serve")
	}
	m.apply(t, "{readers: ["+pullFrom("127.0.0.1", b)+"]}")
	if !serves(at(b)) || serves(fmt.Sprint("127.0.0.2:", b)) {
		t.Error("127.0.0.1 does not serve alone")
	}
	if _, err := m.plan(t, "{readers: ["+pullFrom("192.0.2.1", b)+"]}"); err == nil {
		t.Error("an address of another machine is accepted")
	}
	if got := m.URLs(); len(got) != 1 || !strings.Contains(got[0], at(b)) {
		t.Errorf("the URLs are %v", got)
	}
}

// What belongs to the meter provider needs a restart, also when it is asked for again.
func TestMetricsNeedARestart(t *testing.T) {
	t.Parallel()
	a := freePort(t)
	m := startMetrics(t, "{readers: ["+pullFrom("127.0.0.1", a)+"]}")
	for range 2 {
		for yaml, want := range map[string]string{
			"{level: detailed, readers: [" + pullFrom("127.0.0.1", a) + "]}":                                         "metrics.level",
			"{level: none, readers: [" + pullFrom("127.0.0.1", a) + "]}":                                             "metrics",
			"{readers: [" + pullFrom("127.0.0.1", a) + ", " + pullFrom("127.0.0.1", a+1) + "]}":                      "metrics.readers",
			fmt.Sprintf("{readers: [{pull: {exporter: {prometheus: {port: %d, without_units: false}}}}]}", a):        "metrics.readers[0]",
			"{readers: [{periodic: {exporter: {otlp: {protocol: http/protobuf, endpoint: 'http://localhost:1'}}}}]}": "metrics.readers[0]",
		} {
			c, err := m.plan(t, yaml)
			if err != nil || !slices.Equal(c.NeedsRestart, []string{want}) {
				t.Errorf("%s: %v, %v; want %s", yaml, c.NeedsRestart, err, want)
			}
			if c.Apply != nil {
				c.Apply()
			}
		}
	}
}

// What is pushed goes to the new destination from a change on.
func TestMetricsPushChanges(t *testing.T) {
	t.Parallel()
	first, second := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	push := func(b *testkit.Backend, interval int) string {
		return fmt.Sprintf("{readers: [{periodic: {interval: %d, exporter: {otlp: {protocol: http/protobuf, endpoint: %q}}}}]}", interval, b.HTTPEndpoint())
	}
	m := startMetrics(t, push(first, 3600_000))
	c, err := m.plan(t, push(second, 1))
	if err != nil {
		t.Fatal(err)
	}
	c.Undo()
	m.apply(t, push(second, 1))
	second.WaitArrived(t, 2)
	m.apply(t, push(second, 3600_000))
	if got := first.Items(otlp.Metrics); got != 0 {
		t.Errorf("the first destination got %d", got)
	}
}

// A value that was replaced, and found before that, is not used after its end.
func TestLiveValueIsNotUsedAfterItsEnd(t *testing.T) {
	t.Parallel()
	var l live[int]
	l.replace(1)
	used, found := l.begin(), l.current.Load()
	old := l.replace(2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		old.end()
	}()
	if got := l.begin(); got.value != 2 {
		t.Errorf("the value is %d", got.value)
	}
	select {
	case <-ended:
		t.Error("it ended while it was used")
	default:
	}
	used.done()
	<-ended
	if found.begin() {
		t.Error("it is used after its end")
	}
}
