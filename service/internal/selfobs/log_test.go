package selfobs

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// timestamps differ from run to run.
var timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:?\d\d)|\d\d:\d\d:\d\d\.\d{3}`)

// callers are where this file logs.
var callers = regexp.MustCompile(`selfobs/log_test\.go:\d+`)

// decode reads the section service.telemetry.
func decode(t *testing.T, yaml string) Config {
	t.Helper()
	cfg := DefaultConfig()
	if err := testkit.Decode(t, yaml, &cfg); err != nil {
		t.Fatalf("%s: %v", yaml, err)
	}
	return cfg
}

// logged returns the output of a log with this configuration for the lines
// below.
func logged(t *testing.T, yaml string) string {
	t.Helper()
	cfg := decode(t, "{logs: "+yaml+", resource: {service.instance.id: null}}")
	var out bytes.Buffer
	l := NewLogging(cfg.Logs, cfg.Resource.Build("v1", "id"), Outputs{Stderr: &out, Stdout: &out})
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	l.Debug("too much")
	l.Info("started", "endpoint", "localhost:1", "text", "two words")
	l.With("receiver", "otlp").WithGroup("tls").Warn("weak", "version", 1.0)
	l.Error("failed", slog.Any("error", errors.New("connection refused")))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return callers.ReplaceAllString(timestamps.ReplaceAllString(out.String(), "TIME"), "CALLER")
}

func TestLogFormats(t *testing.T) {
	t.Parallel()
	const resource = `"resource":{"service.name":"penstock","service.version":"v1"}`
	for yaml, want := range map[string]string{
		"{encoding: console}": `TIME  INFO   started  endpoint=localhost:1 text="two words"
TIME  WARN   weak  receiver=otlp tls.version=1
TIME  ERROR  failed  error="connection refused"
`,
		"{encoding: console, level: debug, initial_fields: {b: 2, a: x}, output_paths: [stdout]}": `TIME  DEBUG  too much  a=x b=2
TIME  INFO   started  a=x b=2 endpoint=localhost:1 text="two words"
TIME  WARN   weak  a=x b=2 receiver=otlp tls.version=1
TIME  ERROR  failed  a=x b=2 error="connection refused"
`,
		"{level: ERROR}":                                       `TIME  ERROR  failed  error="connection refused"` + "\n",
		"{level: fatal, encoding: json}":                       `{"ts":"TIME","level":"error","caller":"CALLER","msg":"failed",` + resource + `,"error":"connection refused"}` + "\n",
		"{level: fatal, encoding: json, disable_caller: true}": `{"ts":"TIME","level":"error","msg":"failed",` + resource + `,"error":"connection refused"}` + "\n",
		"{output_paths: []}":                                   "",
		"{disable_zap_resource: true, encoding: json, level: warn}": `{"ts":"TIME","level":"warn","caller":"CALLER","msg":"weak","receiver":"otlp","tls":{"version":1}}
{"ts":"TIME","level":"error","caller":"CALLER","msg":"failed","error":"connection refused"}
`,
	} {
		if diff := cmp.Diff(want, logged(t, yaml)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", yaml, diff)
		}
	}
}

func TestLogFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "penstock.log")
	for range 2 {
		if got := logged(t, "{output_paths: [stderr, '"+path+"'], encoding: console}"); strings.Count(got, "\n") != 3 {
			t.Errorf("stderr has %q, want three lines", got)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "started") != 2 {
		t.Errorf("the file has %q (%v), want the lines of both runs", text, err)
	}
}

func TestConsoleColours(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := slog.New(newConsoleHandler(&out, slog.LevelDebug, true, true))
	l.Debug("d")
	l.Info("i")
	l.Warn("w")
	l.Error("e")
	want := dim + "TIME" + plain + "  " + dim + "DEBUG" + plain + "  d\n" +
		dim + "TIME" + plain + "  " + green + "INFO" + plain + "   i\n" +
		dim + "TIME" + plain + "  " + yellow + "WARN" + plain + "   w\n" +
		dim + "TIME" + plain + "  " + red + "ERROR" + plain + "  e\n"
	if diff := cmp.Diff(want, timestamps.ReplaceAllString(out.String(), "TIME")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNoColor(t *testing.T) {
	for _, c := range []struct {
		noColor, term string
		want          bool
	}{{"", "xterm", true}, {"1", "xterm", false}, {"", "dumb", false}} {
		t.Setenv("NO_COLOR", c.noColor)
		t.Setenv("TERM", c.term)
		if got := wantsColours(); got != c.want {
			t.Errorf("NO_COLOR=%q TERM=%q: colours %v", c.noColor, c.term, got)
		}
	}
}

var someSummary = Summary{
	Version: "v1", BuiltIn: true,
	Listening: []Listening{
		{"receiver", "OTLP/gRPC", "127.0.0.1:4317", "traces, logs"}, {"receiver", "OTLP/HTTP", "http://127.0.0.1:4318", "traces"},
		{"extension", "health check/HTTP", "http://127.0.0.1:13133", ""},
	},
	Pipelines: []Path{{"traces", "otlp, otlp/2 → resource → debug"}, {"logs/front", "otlp → debug, file"}},
	Metrics:   []string{"http://127.0.0.1:8888/metrics"},
}

func TestSummaryOnTerminal(t *testing.T) {
	t.Parallel()
	const want = `
penstock v1: Everything is ready. Begin running and processing data.

  receives  OTLP/gRPC          127.0.0.1:4317          traces, logs
  receives  OTLP/HTTP          http://127.0.0.1:4318   traces
  serves    health check/HTTP  http://127.0.0.1:13133

  pipeline  traces      otlp, otlp/2 → resource → debug
  pipeline  logs/front  otlp → debug, file

  metrics   http://127.0.0.1:8888/metrics
  health    http://127.0.0.1:8888/readyz

  No configuration was given; this is the built-in one, which prints what it receives. Next steps:

  try       penstock loadgen --signal all --rate 20
  send      OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 your-program
  see more  penstock --set exporters.debug.verbosity=detailed
  see less  penstock --set exporters.debug.verbosity=basic
  change    penstock print-config >penstock.yaml; penstock --config penstock.yaml
  read      https://github.com/penstock-telemetry/penstock/tree/main/docs

  Press Ctrl-C to finish the requests in progress and exit.

`
	var out bytes.Buffer
	(&Logging{now: &logState{terminal: &out}}).Announce(someSummary)
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The next steps name the addresses in use, and only a server without a configuration has them.
func TestNextSteps(t *testing.T) {
	t.Parallel()
	sum := someSummary
	sum.Listening = []Listening{{"receiver", "OTLP/gRPC", "127.0.0.1:14317", "traces"}}
	if got := sum.block(false); !strings.Contains(got, "  penstock loadgen --signal all --rate 20 --endpoint 127.0.0.1:14317\n") || strings.Contains(got, "OTEL_EXPORTER") {
		t.Errorf("got %s", got)
	}
	sum.BuiltIn = false
	if got := sum.block(false); strings.Contains(got, "loadgen") || strings.Contains(got, docsURL) {
		t.Errorf("with a configuration: %s", got)
	}
}

func TestSummaryAsLogLines(t *testing.T) {
	t.Parallel()
	const want = `TIME  INFO   pipeline  pipeline=traces path="otlp, otlp/2 → resource → debug"
TIME  INFO   pipeline  pipeline=logs/front path="otlp → debug, file"
TIME  INFO   metrics of penstock itself  url=http://127.0.0.1:8888/metrics
TIME  INFO   Everything is ready. Begin running and processing data.  version=v1 configuration="the built-in one, since none was given; penstock print-config shows it"
`
	var out bytes.Buffer
	(&Logging{Logger: slog.New(newConsoleHandler(&out, slog.LevelInfo, false, false))}).Announce(someSummary)
	if diff := cmp.Diff(want, timestamps.ReplaceAllString(out.String(), "TIME")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMemoryInTheSummary(t *testing.T) {
	t.Parallel()
	sum := someSummary
	sum.Memory = &Memory{InFlight: "160 MiB", Limit: "400 MiB (memory_limiter)", GoLimit: "320 MiB"}
	if want := "\n\n  memory    requests in flight 160 MiB; limit 400 MiB (memory_limiter); GOMEMLIMIT 320 MiB\n\n  metrics   http"; !strings.Contains(sum.block(false), want) {
		t.Errorf("got %s", sum.block(false))
	}
	var out bytes.Buffer
	(&Logging{Logger: slog.New(newConsoleHandler(&out, slog.LevelInfo, false, false))}).Announce(sum)
	const want = `memory  in_flight="160 MiB" limit="400 MiB (memory_limiter)" gomemlimit="320 MiB"`
	if !strings.Contains(out.String(), want) {
		t.Error(cmp.Diff(want, out.String()))
	}
}

func TestQueuesInTheSummary(t *testing.T) {
	t.Parallel()
	sum := someSummary
	sum.Queues = []string{"on disk in /a", "in memory"}
	if want := "\n\n  queues    on disk in /a\n  queues    in memory\n\n  metrics   http"; !strings.Contains(sum.block(false), want) {
		t.Errorf("got %s", sum.block(false))
	}
	var out bytes.Buffer
	(&Logging{Logger: slog.New(newConsoleHandler(&out, slog.LevelInfo, false, false))}).Announce(sum)
	for _, want := range []string{`queues  place="on disk in /a"`, `queues  place="in memory"`} {
		if !strings.Contains(out.String(), want) {
			t.Error(cmp.Diff(want, out.String()))
		}
	}
}
