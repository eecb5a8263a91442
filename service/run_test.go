package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// rig is a running service with its own ports.
type rig struct {
	*Service
	grpc, http, metrics string
	failsToStop         bool // on purpose
}

// start runs a configuration in which every listener has port 0.
func start(t *testing.T, yaml string, set ...string) *rig {
	t.Helper()
	return startLogging(t, slog.New(slog.DiscardHandler), yaml, set...)
}

func startLogging(t *testing.T, log *slog.Logger, yaml string, set ...string) *rig {
	t.Helper()
	cfg, err := LoadFrom(builtins(), Sources{URIs: []string{"yaml:" + yaml}, Set: append(set, "service.telemetry.metrics.address=localhost:0")})
	if err != nil {
		t.Fatal(err)
	}
	return runRig(t, cfg, log)
}

// runRig runs cfg until the end of the test.
func runRig(t *testing.T, cfg *Config, log *slog.Logger) *rig {
	t.Helper()
	return runRigWith(t, cfg, Options{Version: "v1.2.3", Logger: log})
}

func runRigWith(t *testing.T, cfg *Config, o Options) *rig {
	t.Helper()
	s, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{Service: s}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil && !r.failsToStop {
			t.Errorf("shut down: %v", err)
		}
	})
	for _, a := range s.Addresses() {
		switch a.Protocol {
		case "OTLP/gRPC":
			r.grpc = a.Address
		case "OTLP/HTTP":
			r.http = a.Address
		case "metrics":
			r.metrics = strings.TrimSuffix(a.Address, "/metrics")
		}
	}
	return r
}

// get returns status and body of a page of the metrics endpoint.
func (r *rig) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(r.metrics + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return resp.StatusCode, string(body)
}

// clients sends over both transports.
func (r *rig) clients(t *testing.T) map[string]otlpclient.Sender {
	t.Helper()
	onGRPC := config.DefaultGRPCClient()
	onGRPC.Endpoint = "http://" + r.grpc
	g, err := otlpclient.NewGRPC(onGRPC, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	onHTTP := config.DefaultHTTPClient()
	onHTTP.Endpoint = r.http
	h, err := otlpclient.NewHTTP(onHTTP, otlpclient.Endpoints{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.Close()
		h.Close()
	})
	return map[string]otlpclient.Sender{"grpc": g, "http": h}
}

const twoWays = `
receivers:
  otlp: {protocols: {grpc: {endpoint: "localhost:0"}, http: {endpoint: "localhost:0"}}}
processors:
  resource: {attributes: [{key: edited.by, value: penstock, action: upsert}]}
exporters:
  otlp: {endpoint: "%s", tls: {insecure: true}}
  otlphttp: {endpoint: "%s"}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp]}
    traces/edited: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}
    metrics: {receivers: [otlp], exporters: [otlp]}
    metrics/edited: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}
    logs: {receivers: [otlp], exporters: [otlp]}
    logs/edited: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}
    profiles: {receivers: [otlp], exporters: [otlp]}
    profiles/edited: {receivers: [otlp], processors: [resource], exporters: [otlphttp]}
`

// One receiver feeds two pipelines, one of which edits. The bytes of the other
// arrive unchanged, including unknown fields, and neither loses data.
func TestTwoPipelinesOnOneReceiver(t *testing.T) {
	t.Parallel()
	untouched, edited := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	r := start(t, fmt.Sprintf(twoWays, untouched.GRPCEndpoint(), edited.HTTPEndpoint()))
	rng := rand.New(rand.NewPCG(1, 2))
	sent, items := map[otlp.Signal][][]byte{}, map[otlp.Signal]int{}
	clients := r.clients(t)
	for i := range 40 {
		s := otlp.Signals()[i%4]
		request := testkit.Request(rng, s, 1+rng.IntN(20))
		sender := clients[[]string{"grpc", "http"}[i/4%2]]
		answer, err := sender.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: request})
		if err != nil || answer.Rejected != 0 {
			t.Fatalf("request %d: %+v, %v", i, answer, err)
		}
		n, err := otlp.Check(s, request)
		if err != nil {
			t.Fatal(err)
		}
		sent[s], items[s] = append(sent[s], request), items[s]+n
	}
	for _, s := range otlp.Signals() {
		if got := untouched.Requests(s); !slices.EqualFunc(got, sent[s], bytes.Equal) {
			t.Errorf("%s: the %d requests of the plain pipeline are not the %d sent", s, len(got), len(sent[s]))
		}
		if got := edited.Items(s); got != items[s] {
			t.Errorf("%s: %d items came through the editing pipeline, %d were sent", s, got, items[s])
		}
		for i, request := range edited.Requests(s) {
			m := testkit.NewMessage(s)
			if err := proto.Unmarshal(request, m); err != nil {
				t.Fatal(err)
			}
			for j, res := range resources(m) {
				if !slices.ContainsFunc(res.GetAttributes(), isEdit) {
					t.Errorf("%s: resource %d of request %d was not edited: %v", s, j, i, res)
				}
			}
		}
	}
}

// resources returns the resource of each entry in the list of a request.
func resources(m proto.Message) (all []*resourcepb.Resource) {
	r := m.ProtoReflect()
	list := r.Get(r.Descriptor().Fields().ByNumber(1)).List()
	for i := range list.Len() {
		entry := list.Get(i).Message()
		all = append(all, entry.Get(entry.Descriptor().Fields().ByName("resource")).Message().Interface().(*resourcepb.Resource))
	}
	return all
}

// isEdit reports whether kv is the attribute that the processor of twoWays
// sets.
func isEdit(kv *commonpb.KeyValue) bool {
	return kv.GetKey() == "edited.by" && kv.GetValue().GetStringValue() == "penstock"
}

// The log names the failing branch, and the other branch has the data. The sender
// does not read where the data goes.
func TestFailedPipelineIsNamed(t *testing.T) {
	t.Parallel()
	good, bad := testkit.NewBackend(t, testkit.BackendConfig{}), testkit.NewBackend(t, testkit.BackendConfig{})
	bad.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{HTTPStatus: 400, Message: "no"} })
	var log testkit.Log
	r := startLogging(t, log.Logger(), fmt.Sprintf(twoWays, good.GRPCEndpoint(), bad.HTTPEndpoint()))
	request := testkit.Request(rand.New(rand.NewPCG(1, 1)), otlp.Logs, 3)
	_, err := r.clients(t)["grpc"].Send(t.Context(), otlpclient.Request{Signal: otlp.Logs, Bytes: request})
	if err == nil || !strings.HasSuffix(err.Error(), "the pipeline refused the data") {
		t.Errorf("the sender got %v", err)
	}
	if len(log.Lines("1 of 2 branches failed: pipeline logs/edited: ")) != 1 {
		t.Errorf("the log is %s", log.String())
	}
	if got := good.Items(otlp.Logs); got != 3 {
		t.Errorf("the other pipeline has %d log records, want 3", got)
	}
}

// The metrics with the Collector's names, as its dashboards use them, and their
// types.
var wantMetrics = `otelcol_admission_bytes gauge
otelcol_admission_limit_bytes gauge
otelcol_admission_peak_bytes gauge
otelcol_admission_refused_requests counter
otelcol_admission_waiting_requests gauge
otelcol_config_last_reload_success_timestamp_seconds gauge
otelcol_config_last_reload_successful gauge
otelcol_config_reloads counter
otelcol_exporter_in_flight_requests gauge
otelcol_exporter_queue_capacity gauge
otelcol_exporter_queue_durable gauge
otelcol_exporter_queue_held_bytes gauge
otelcol_exporter_queue_held_items gauge
otelcol_exporter_queue_items counter
otelcol_exporter_queue_size gauge
otelcol_exporter_send_attempts counter
otelcol_exporter_send_failed_log_records counter
otelcol_exporter_send_failed_metric_points counter
otelcol_exporter_send_failed_profile_samples counter
otelcol_exporter_send_failed_spans counter
otelcol_exporter_sent_log_records counter
otelcol_exporter_sent_metric_points counter
otelcol_exporter_sent_profile_samples counter
otelcol_exporter_sent_spans counter
otelcol_process_cpu_seconds counter
otelcol_process_memory_rss gauge
otelcol_process_runtime_heap_alloc_bytes gauge
otelcol_process_runtime_total_alloc_bytes counter
otelcol_process_runtime_total_sys_memory_bytes gauge
otelcol_process_uptime counter
otelcol_processor_incoming_items counter
otelcol_processor_outgoing_items counter
otelcol_receiver_accepted_log_records counter
otelcol_receiver_accepted_metric_points counter
otelcol_receiver_accepted_profile_samples counter
otelcol_receiver_accepted_spans counter
otelcol_receiver_active_connections gauge
otelcol_receiver_active_requests gauge
otelcol_receiver_failed_log_records counter
otelcol_receiver_failed_metric_points counter
otelcol_receiver_failed_profile_samples counter
otelcol_receiver_failed_spans counter
otelcol_receiver_invalid_utf8_requests counter
otelcol_receiver_refused_connections counter
otelcol_receiver_refused_log_records counter
otelcol_receiver_refused_metric_points counter
otelcol_receiver_refused_profile_samples counter
otelcol_receiver_refused_spans counter
otelcol_receiver_requests counter
otelcol_receiver_unrecognized_requests counter
promhttp_metric_handler_errors_total counter
target_info gauge`

// portOf returns the port of a URL.
func portOf(t *testing.T, endpoint string) string {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

func TestMetricsHaveTheCollectorsNames(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	r := start(t, fmt.Sprintf(twoWays, backend.GRPCEndpoint(), backend.HTTPEndpoint()), "service.telemetry.resource.team=water")
	rng := rand.New(rand.NewPCG(3, 4))
	for transport, sender := range r.clients(t) {
		for _, s := range otlp.Signals() {
			if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: testkit.Request(rng, s, 7)}); err != nil {
				t.Fatalf("%s %s: %v", transport, s, err)
			}
		}
	}
	status, page := r.get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("%d: %s", status, page)
	}
	var types []string
	for line := range strings.Lines(page) {
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			types = append(types, strings.TrimSpace(name))
		}
	}
	if diff := cmp.Diff(strings.Split(wantMetrics, "\n"), types); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, want := range []string{
		`otelcol_receiver_accepted_spans{receiver="otlp",transport="grpc"} 7`,
		`otelcol_receiver_accepted_profile_samples{receiver="otlp",transport="http"} 7`,
		`otelcol_receiver_refused_log_records{receiver="otlp",transport="http"} 0`,
		`otelcol_exporter_sent_metric_points{exporter="otlphttp",server_address="127.0.0.1",server_port="` + portOf(t, backend.HTTPEndpoint()) + `",url_path="/v1/metrics"} 14`,
		`otelcol_processor_incoming_items{otel_signal="logs",processor="resource"} 14`,
		`otelcol_processor_outgoing_items{otel_signal="profiles",processor="resource"} 14`,
		`service_name="penstock",service_version="v1.2.3",team="water"} 1`,
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
	for _, zero := range []string{"otelcol_process_memory_rss 0\n", "otelcol_process_cpu_seconds 0\n", "otelcol_process_uptime 0\n"} {
		if strings.Contains(page, zero) {
			t.Errorf("not measured: %s", zero)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}

func TestMetricsOptions(t *testing.T) {
	t.Parallel()
	const yaml = `
receivers: {otlp: {protocols: {grpc: {endpoint: "localhost:0"}}}}
exporters: {nop: }
service:
  pipelines: {traces: {receivers: [otlp], exporters: [nop]}}
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: 0, %s}}}}]}}
`
	const uptime, allocated = "otelcol_process_uptime_seconds_total ", "otelcol_process_runtime_total_alloc_bytes_total "
	for settings, wants := range map[string][]string{
		"without_type_suffix: false, without_units: false":           {uptime, allocated},
		"without_type_suffix: false":                                 {uptime, allocated}, // one of them alone is without effect in the Collector
		"without_units: false":                                       {uptime, allocated},
		"without_type_suffix: true":                                  {"otelcol_process_uptime ", "otelcol_process_runtime_total_alloc_bytes "},
		"without_scope_info: false":                                  {`otelcol_process_uptime{otel_scope_name="github.com/penstock-telemetry/penstock/service"`},
		`with_resource_constant_labels: {included: [service.n*]}`:    {`otelcol_process_uptime{service_name="penstock"} `},
		`with_resource_constant_labels: {excluded: ["service.*e*"]}`: {"otelcol_process_uptime "},
	} {
		cfg, err := loadAll("yaml:" + fmt.Sprintf(yaml, settings))
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, page := (&rig{metrics: strings.TrimSuffix(s.process.metrics.URLs()[0], "/metrics")}).get(t, "/metrics")
		for _, want := range wants {
			if !strings.Contains(page, "\n"+want) {
				t.Errorf("%s: no line begins with %q", settings, want)
			}
		}
		if err := s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestLevelNone(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	r := start(t, fmt.Sprintf(twoWays, backend.GRPCEndpoint(), backend.HTTPEndpoint()), "service.telemetry.metrics.level=none")
	if r.metrics != "" {
		t.Errorf("something listens at %s", r.metrics)
	}
}

// Ready means that all listeners are bound and none is draining. While the last
// requests are finished, penstock is live and not ready.
func TestReadiness(t *testing.T) {
	t.Parallel()
	backend := testkit.NewBackend(t, testkit.BackendConfig{})
	release := make(chan struct{})
	backend.Respond(func(testkit.Call) testkit.Answer {
		<-release
		return testkit.Answer{}
	})
	r := start(t, fmt.Sprintf(twoWays, backend.GRPCEndpoint(), backend.HTTPEndpoint()))
	if status, body := r.get(t, "/readyz"); status != http.StatusOK || body != "ready\n" {
		t.Errorf("/readyz after Start: %d %q", status, body)
	}
	answered, stopped := make(chan error, 1), make(chan error, 1)
	sender := r.clients(t)["grpc"]
	go func() {
		request := testkit.Request(rand.New(rand.NewPCG(1, 1)), otlp.Traces, 3)
		_, err := sender.Send(context.Background(), otlpclient.Request{Signal: otlp.Traces, Bytes: request})
		answered <- err
	}()
	backend.WaitArrived(t, 1)
	go func() { stopped <- r.Shutdown(context.Background()) }()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		status, _ := r.get(t, "/readyz")
		if status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz is still %d while draining", status)
		}
	}
	if status, body := r.get(t, "/livez"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/livez while draining: %d %q", status, body)
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the request in progress failed: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("shut down: %v", err)
	}
}

func TestMetricsPortInUseNamesTheKey(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f := newFakes()
	for set, want := range map[string]string{
		"service.telemetry.metrics.address=localhost:" + port: "; choose another address with service.telemetry.metrics.address, or --set service.telemetry.metrics.address=localhost:8889, or none ",
		// An address next to readers would be rejected.
		"service.telemetry.metrics.readers=[{pull: {exporter: {prometheus: {port: " + port + "}}}}]": "; choose another port with service.telemetry.metrics.readers[0].pull.exporter.prometheus.port, or none ",
	} {
		cfg, err := LoadFrom(f.options(), Sources{URIs: []string{"yaml:" + threePipelines}, Set: []string{set}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := New(cfg, Options{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		err = s.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "address already in use") {
			t.Errorf("Start returned %v,\nwant %q", err, want)
		}
	}
	if got := f.take(); got != "" {
		t.Errorf("components were started: %s", got)
	}
}

// A web page that had its name resolved to this machine cannot read the metrics.
func TestMetricsCheckTheHost(t *testing.T) {
	t.Parallel()
	r := start(t, `{receivers: {otlp: {protocols: {http: {endpoint: "localhost:0"}}}}, exporters: {nop: }, `+
		`service: {pipelines: {logs: {receivers: [otlp], exporters: [nop]}}}}`)
	for host, want := range map[string]int{
		"evil.example": http.StatusForbidden, "evil.example:8888": http.StatusForbidden, "192.0.2.1": http.StatusForbidden,
		"localhost": http.StatusOK, "LOCALHOST:1": http.StatusOK, "127.0.0.1:8888": http.StatusOK, "[::1]:8888": http.StatusOK,
	} {
		for _, path := range []string{"/metrics", "/livez", "/readyz"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.metrics+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host, req.Close = host, true
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s with the host %s: %d, want %d", path, host, resp.StatusCode, want)
			}
		}
	}
}
