package service

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	collogspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetricspb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

const pushing = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}
exporters: {nop: }
service:
  telemetry:
    resource: {service.name: own, service.version: }
    metrics:
      readers: [{periodic: {interval: 3600000, exporter: {otlp: %[1]s}}}]
    logs: {output_paths: [], processors: [{%[2]s: {exporter: {otlp: %[1]s}}}]}
    traces: {processors: [{%[2]s: {exporter: {otlp: %[1]s}}}]}
  pipelines: {logs: {receivers: [otlp], exporters: [nop]}}
`

// Own metrics, log lines and spans arrive as valid OTLP over each protocol; the last of
// them are sent at the end.
func TestOwnTelemetryIsPushed(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, processor := range []string{"batch", "simple"} {
			t.Run(protocol+" "+processor, func(t *testing.T) {
				t.Parallel()
				backend := testkit.NewBackend(t, testkit.BackendConfig{})
				endpoint := backend.HTTPEndpoint()
				if protocol == "grpc" {
					endpoint = backend.GRPCEndpoint()
				}
				to := fmt.Sprintf("{protocol: %s, endpoint: %q, headers: [{name: a, value: b}], headers_list: c=d%%20e}", protocol, endpoint)
				pushOnce(t, fmt.Sprintf(pushing, to, processor))
				for _, s := range []otlp.Signal{otlp.Metrics, otlp.Logs, otlp.Traces} {
					if backend.Items(s) == 0 {
						t.Errorf("no %s arrived", s)
					}
				}
				for _, call := range backend.Calls() {
					if got := fmt.Sprint(call.Header["a"], call.Header["c"]); got != "[b] [d e]" {
						t.Errorf("%s have the headers %s", call.Signal, got)
					}
				}
				checkOwnMetrics(t, backend.Requests(otlp.Metrics))
				checkOwnLogs(t, backend.Requests(otlp.Logs))
				checkOwnSpans(t, backend.Requests(otlp.Traces))
			})
		}
	}
}

// pushOnce runs a service for one request of 5 log records.
func pushOnce(t *testing.T, yaml string) {
	t.Helper()
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatal(err)
	}
	if warnings := cfg.Warnings(); len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	s, err := New(cfg, builtins())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{Service: s, grpc: s.Addresses()[0].Address}
	if _, err := r.clients(t)["grpc"].Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: testkit.Request(random(), otlp.Logs, 5)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

func decodeAll[M proto.Message](t *testing.T, requests [][]byte, empty func() M) (all []M) {
	t.Helper()
	for _, b := range requests {
		m := empty()
		if err := proto.Unmarshal(b, m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func checkOwnMetrics(t *testing.T, requests [][]byte) {
	t.Helper()
	var accepted int64
	kinds := map[string]bool{}
	for _, m := range decodeAll(t, requests, func() *colmetricspb.ExportMetricsServiceRequest { return new(colmetricspb.ExportMetricsServiceRequest) }) {
		for _, rm := range m.ResourceMetrics {
			if got := rm.Resource.String(); !strings.Contains(got, `"own"`) || strings.Contains(got, "service.version") {
				t.Errorf("resource %s", got)
			}
			for _, sm := range rm.ScopeMetrics {
				for _, metric := range sm.Metrics {
					kinds[fmt.Sprintf("%T", metric.Data)] = true
					if metric.Name == "otelcol_receiver_accepted_log_records" {
						sum := metric.GetSum()
						if !sum.IsMonotonic || sum.AggregationTemporality != metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE {
							t.Errorf("the sum is %v", sum)
						}
						for _, p := range sum.DataPoints {
							accepted += p.GetAsInt()
						}
					}
				}
			}
		}
	}
	if accepted != 5 {
		t.Errorf("otelcol_receiver_accepted_log_records is %d, want 5", accepted)
	}
	if !kinds["*v1.Metric_Gauge"] || !kinds["*v1.Metric_Sum"] {
		t.Errorf("kinds %v", kinds)
	}
}

func checkOwnLogs(t *testing.T, requests [][]byte) {
	t.Helper()
	var bodies []string
	for _, m := range decodeAll(t, requests, func() *collogspb.ExportLogsServiceRequest { return new(collogspb.ExportLogsServiceRequest) }) {
		for _, r := range m.ResourceLogs[0].ScopeLogs[0].LogRecords {
			bodies = append(bodies, r.Body.GetStringValue())
			if r.Body.GetStringValue() == "Starting GRPC server" {
				if text := fmt.Sprint(r.Attributes); r.SeverityNumber != 9 || r.TimeUnixNano == 0 || !strings.Contains(text, "receiver") || !strings.Contains(text, "endpoint") {
					t.Errorf("the record %v", r)
				}
			}
		}
	}
	for _, want := range []string{"Starting GRPC server", "Everything is ready. Begin running and processing data.", "shut down; no request is left in progress"} {
		if !slices.Contains(bodies, want) {
			t.Errorf("the line %q is missing in %q", want, bodies)
		}
	}
}

func checkOwnSpans(t *testing.T, requests [][]byte) {
	t.Helper()
	for _, m := range decodeAll(t, requests, func() *coltracepb.ExportTraceServiceRequest { return new(coltracepb.ExportTraceServiceRequest) }) {
		for _, s := range m.ResourceSpans[0].ScopeSpans[0].Spans {
			if len(s.TraceId) != 16 || len(s.SpanId) != 8 || s.Name == "" || s.EndTimeUnixNano < s.StartTimeUnixNano || s.StartTimeUnixNano == 0 {
				t.Errorf("the span %v", s)
			}
		}
	}
}

// sampler: always_off and level: none send no spans.
func TestOwnSpansAreSampled(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]bool{
		"sampler: {always_off: }": false, "sampler: {always_on: {}}": true,
		"sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 0}}}}": false,
		"sampler: {parent_based: {root: {trace_id_ratio_based: {ratio: 1}}}}": true,
		"level: none": false,
	} {
		backend := testkit.NewBackend(t, testkit.BackendConfig{})
		yaml := fmt.Sprintf(pushing, "{protocol: grpc, endpoint: '"+backend.GRPCEndpoint()+"'}", "simple")
		pushOnce(t, strings.Replace(yaml, "traces: {processors", "traces: {"+setting+", processors", 1))
		if got := backend.Items(otlp.Traces) > 0; got != want {
			t.Errorf("%s: spans arrived: %v", setting, got)
		}
	}
}

// A destination that is down is logged, not to itself, and keeps nothing from working.
func TestPushFails(t *testing.T) {
	t.Parallel()
	var out testkit.Log
	yaml := fmt.Sprintf(pushing, "{protocol: grpc, endpoint: 'localhost:1', timeout: 1000}", "batch")
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + strings.Replace(yaml, "output_paths: []", "output_paths: [stderr]", 1)}})
	if err != nil {
		t.Fatal(err)
	}
	opts := builtins()
	opts.Stderr = &out
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	lines := out.Lines("sending own telemetry failed; it is lost")
	if len(lines) < 1 || len(lines) > 3 || !strings.Contains(out.String(), "destination=service.telemetry.metrics.readers[0]") {
		t.Errorf("logged %s", out.String())
	}
}

// Everything can be written to stdout as OTLP/JSON.
func TestOwnTelemetryOnTheConsole(t *testing.T) {
	t.Parallel()
	var out testkit.Log
	yaml := strings.ReplaceAll(fmt.Sprintf(pushing, "X", "batch"), "{otlp: X}", "{console: }")
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + yaml}})
	if err != nil {
		t.Fatal(err)
	}
	opts := builtins()
	opts.Stdout = &out
	s, err := New(cfg, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`{"resourceMetrics":[`, `{"resourceLogs":[`, "Everything is ready"} {
		if len(out.Lines(want)) == 0 {
			t.Errorf("%s is missing in %s", want, out.String())
		}
	}
}

func TestPushConfigErrors(t *testing.T) {
	t.Parallel()
	for section, want := range map[string]string{
		"metrics: {readers: [{}]}":                                                     "readers[0]: expected one of pull and periodic",
		"metrics: {readers: [{periodic: {}}]}":                                         "readers[0].periodic.exporter: expected one of otlp and console",
		"metrics: {readers: [{periodic: {interval: 0, exporter: {console: }}}]}":       "periodic.interval: expected milliseconds, more than 0, found 0",
		"logs: {processors: [{}]}":                                                     "processors[0]: expected one of batch and simple",
		"logs: {processors: [{batch: {max_queue_size: -1, exporter: {console: }}}]}":   "batch.max_queue_size: expected 0 or more",
		"traces: {processors: [{simple: {exporter: {otlp: {protocol: http}}}}]}":       `otlp.protocol: unknown protocol "http"`,
		"traces: {processors: [{simple: {exporter: {otlp: {endpoint: 'ftp://h'}}}}]}":  "otlp.endpoint: endpoint",
		"traces: {processors: [{simple: {exporter: {otlp: {compression: lz4}}}}]}":     "otlp.compression: expected gzip or none",
		"traces: {processors: [{simple: {exporter: {otlp: {headers_list: s3cret}}}}]}": "otlp.headers_list: expected name=value,name=value",
		"traces: {processors: [{simple: {exporter: {otlp: {endpont: x}}}}]}":           `unknown key, did you mean "endpoint"?`,
		"traces: {sampler: {}}":                                                        "sampler: expected one of always_on",
		"traces: {sampler: {trace_id_ratio_based: {ratio: 2}}}":                        "ratio: expected 0 to 1, found 2",
	} {
		_, err := loadAll("yaml:{receivers: {nop: }, exporters: {nop: }, service: {telemetry: {" + section + "}, pipelines: {logs: {receivers: [nop], exporters: [nop]}}}}")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want %s", section, err, want)
		}
	}
}

func random() *rand.Rand { return rand.New(rand.NewPCG(1, 2)) }

// Metrics are pushed again and again, not only at the end.
func TestOwnMetricsArePushedAtIntervals(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	cfg, err := loadAll(fmt.Sprintf(`yaml:
receivers: {nop: }
exporters: {nop: }
service:
  telemetry: {metrics: {readers: [{periodic: {interval: 1, exporter: {otlp: {endpoint: %q}}}}]}}
  pipelines: {logs: {receivers: [nop], exporters: [nop]}}
`, backend.HTTPEndpoint()))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(cfg, builtins())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	backend.WaitArrived(t, 3)
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A service whose second destination cannot be opened starts nothing.
func TestPushCannotStart(t *testing.T) {
	t.Parallel()
	for _, section := range []string{
		"logs: {output_paths: [], processors: [{batch: {exporter: {console: }}}, {batch: {exporter: {otlp: {endpoint: 'https://h:1', certificate: /missing}}}}]}",
		"traces: {processors: [{batch: {exporter: {console: }}}, {batch: {exporter: {otlp: {protocol: grpc, endpoint: 'https://h:1', certificate: /missing}}}}]}",
		"metrics: {readers: [{periodic: {exporter: {console: }}}, {periodic: {exporter: {otlp: {endpoint: 'https://h:1', certificate: /missing}}}}]}",
	} {
		cfg, err := loadAll("yaml:{receivers: {nop: }, exporters: {nop: }, service: {telemetry: {" + section + "}, pipelines: {logs: {receivers: [nop], exporters: [nop]}}}}")
		if err != nil {
			t.Fatal(err)
		}
		opts := builtins()
		opts.Stderr, opts.Stdout = io.Discard, io.Discard
		s, err := New(cfg, opts)
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(section, ":")
		if err := s.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "service.telemetry."+name) || !strings.Contains(err.Error(), "/missing") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
