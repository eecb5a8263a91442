package service

import (
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// queueLabels are those that penstock has in addition at every level, for a queue for
// each pipeline.
var queueLabels = []string{"pipeline"}

// The labels that penstock has in addition, only at level detailed.
var moreLabels = map[string][]string{
	"otelcol_receiver_": {"format"},
	"http.server.":      {"receiver"},
	"rpc.server.":       {"receiver", "error.type"}, // the Collector has it after an error of the server, too
}

// The metrics that penstock has in addition, by the lowest level that has them, without
// those of the Collector whose series begin only when something is counted.
var moreMetrics = []struct {
	level string
	names []string
}{
	{"basic", []string{
		"otelcol_admission_bytes", "otelcol_admission_limit_bytes", "otelcol_admission_peak_bytes", "otelcol_admission_refused_requests",
		"otelcol_admission_waiting_requests", "otelcol_config_last_reload_success_timestamp_seconds",
		"otelcol_config_last_reload_successful", "otelcol_config_reloads", "otelcol_exporter_queue_durable", "otelcol_exporter_queue_held_bytes",
		"otelcol_exporter_queue_held_items", "otelcol_exporter_queue_items", "otelcol_receiver_active_connections", "otelcol_receiver_active_requests",
	}},
	{"normal", []string{
		"otelcol_exporter_send_attempts", "otelcol_receiver_invalid_utf8_requests", "otelcol_receiver_refused_connections",
		"otelcol_receiver_refused_requests", "otelcol_receiver_requests", "otelcol_receiver_unrecognized_requests",
	}},
	{"detailed", []string{"rpc.server.request.size"}},
}

// The Collector has these only after the first failure or refusal.
var beginLater = []string{"otelcol_exporter_enqueue_failed_", "otelcol_exporter_send_failed_", "otelcol_processor_memory_limiter_refused_"}

// The names and labels that penstock serves of itself are those that a Collector serves
// with the same configuration at the same level. The lists are written by
// tools/dashboards.
func TestCollectorMetrics(t *testing.T) {
	t.Parallel()
	allowed := slices.Clone(beginLater)
	for _, more := range moreMetrics {
		allowed = append(slices.Clone(allowed), more.names...)
		allowed := allowed // of this level
		t.Run(more.level, func(t *testing.T) {
			t.Parallel()
			collector := readMetricList(t, more.level+".txt")
			served := serveAtLevel(t, more.level)
			for name, labels := range collector {
				got, ok := served[name]
				if !ok {
					t.Errorf("%s is not served", name)
					continue
				}
				if strings.HasPrefix(name, "otelcol_exporter_queue_") {
					labels = append(labels, queueLabels...)
				}
				if more.level == "detailed" {
					labels = append(labels, extraLabels(name)...)
				}
				if !equalSets(labels, got) {
					t.Errorf("%s has the labels %v, want %v", name, got, labels)
				}
			}
			for name := range served {
				if _, ok := collector[name]; !ok && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(name, a) }) {
					t.Errorf("%s is served, and neither the Collector's nor among the additional ones of this level", name)
				}
			}
		})
	}
}

func extraLabels(name string) []string {
	for prefix, labels := range moreLabels {
		if strings.HasPrefix(name, prefix) && !strings.HasPrefix(name, "otelcol_receiver_active") {
			return labels
		}
	}
	return nil
}

func equalSets(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// readMetricList reads lines such as "name{label,label}".
func readMetricList(t *testing.T, file string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "collectormetrics", file))
	if err != nil {
		t.Fatal(err)
	}
	list := map[string][]string{}
	for line := range strings.Lines(string(text)) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), "{")
		if ok {
			list[name] = strings.FieldsFunc(strings.TrimSuffix(rest, "}"), func(r rune) bool { return r == ',' })
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d metrics in the list %s", len(list), file)
	}
	return list
}

// serveAtLevel returns the names and labels that a service serves after the traffic of
// the comparison.
func serveAtLevel(t *testing.T, level string) map[string][]string {
	t.Helper()
	r := startCompared(t, "config.yaml", level, true, testkit.NewBackend(t, testkit.BackendConfig{}))
	rng := rand.New(rand.NewPCG(1, 2))
	for _, sender := range r.clients(t) {
		for _, s := range []otlp.Signal{otlp.Traces, otlp.Metrics, otlp.Logs} {
			_, err := sender.Send(t.Context(), otlpclient.Request{Signal: s, Bytes: testkit.Request(rng, s, 3)})
			if (err != nil) != (s == otlp.Logs) { // all their exporters fail
				t.Errorf("%s: %v", s, err)
			}
		}
	}
	resp, err := http.Post(r.http+"/v1/traces", "application/json", strings.NewReader("{"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return r.served(t)
}

// served returns the names of the metrics that are served, and the labels that any of
// their series has.
func (r *rig) served(t *testing.T) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	for name, f := range scrapeFamilies(t, r.metrics, "allow-utf-8") {
		keys := map[string]bool{}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				keys[l.GetName()] = true
			}
		}
		names[name] = slices.Collect(maps.Keys(keys))
	}
	return names
}

// startCompared starts a configuration of the comparison.
func startCompared(t *testing.T, config, level string, withoutSuffixes bool, backend *testkit.Backend) *rig {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "collectormetrics", config))
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.NewReplacer("${env:GRPC_PORT}", "0", "${env:HTTP_PORT}", "0", "${env:METRICS_PORT}", "0", "${env:HEALTH_PORT}", "0",
		"${env:STORAGE}", t.TempDir(),
		"${env:LEVEL}", level, "${env:WITHOUT_SUFFIXES}", fmt.Sprint(withoutSuffixes), "${env:NOBODY}", closedAddress(t),
		"${env:SINK_GRPC}", strings.TrimPrefix(backend.GRPCEndpoint(), "http://"), "${env:SINK_HTTP}", strings.TrimPrefix(backend.HTTPEndpoint(), "http://"),
	).Replace(string(text))
	cfg, err := loadAll("yaml:" + yaml)
	if err != nil {
		t.Fatal(err)
	}
	return runRig(t, cfg, slog.New(slog.DiscardHandler))
}

// closedAddress returns an address at which nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scrapeFamilies scrapes as Prometheus 3 ("allow-utf-8") or 2 ("underscores") does.
func scrapeFamilies(t *testing.T, url, escaping string) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/plain;version=1.0.0;escaping="+escaping)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// Names with dots are written with underscores, for scrapers that do not ask for UTF-8.
func TestMetricNamesByScraper(t *testing.T) {
	t.Parallel()
	r := startCompared(t, "config.yaml", "detailed", false, testkit.NewBackend(t, testkit.BackendConfig{}))
	for _, sender := range r.clients(t) {
		if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: otlp.Traces, Bytes: testkit.Request(rand.New(rand.NewPCG(1, 2)), otlp.Traces, 3)}); err != nil {
			t.Fatal(err)
		}
	}
	for escaping, want := range map[string][2]string{
		"allow-utf-8": {"rpc.server.call.duration_seconds", "otel.signal"},
		"underscores": {"rpc_server_call_duration_seconds", "otel_signal"},
	} {
		families := scrapeFamilies(t, r.metrics, escaping)
		if families[want[0]] == nil {
			t.Errorf("%s: no %s", escaping, want[0])
		}
		for _, l := range families["otelcol_processor_incoming_items_total"].GetMetric()[0].GetLabel() {
			if l.GetName() != want[1] && l.GetName() != "processor" {
				t.Errorf("%s: label %s, want %s", escaping, l.GetName(), want[1])
			}
		}
	}
}

// A client that sends ever new Host headers adds no series.
func TestHostHeadersAddNoSeries(t *testing.T) {
	t.Parallel()
	r := startCompared(t, "config.yaml", "detailed", true, testkit.NewBackend(t, testkit.BackendConfig{}))
	for i := range 50 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.http+"/v1/traces", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = fmt.Sprintf("name%d.example:%d", i, i+1)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	families := scrapeFamilies(t, r.metrics, "allow-utf-8")
	for _, name := range []string{"http.server.request.duration", "http.server.request.body.size", "http.server.response.body.size"} {
		if series := families[name].GetMetric(); len(series) != 1 || series[0].GetHistogram().GetSampleCount() != 50 {
			t.Errorf("%s has %d series, want one of 50 requests", name, len(series))
		}
	}
}
