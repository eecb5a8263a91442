package obsreport

import (
	"flag"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// section is a part of docs/metrics.md.
type section struct {
	title, text string
	rows        []int
}

var sections = []section{
	{"Items of the receivers", "Spans, data points, log records and samples, by outcome. The three add up to the received items. " +
		"The Collector has no `format`.",
		[]int{itemsAccepted, itemsRefused, itemsFailed}},
	{"Requests of the receivers", "The Collector has no `format` and no `signal`.", []int{requestsDone, requestsRefused, requestsInvalidUTF8, requestsUnrecognized, requestsActive}},
	{"Connections of the receivers", "", []int{connectionsActive, connectionsRefused}},
	{"Durations and sizes of requests", "Named by the semantic conventions of OpenTelemetry, version 1.43. " +
		fmt.Sprintf("A receiver, and an exporter, has at most %d sets of attributes in each; further ones are counted with `otel.metric.overflow`.", maxSets),
		[]int{httpDuration, httpSize, httpResponseSize, rpcDuration, rpcSize, httpClientDuration, httpClientSize, rpcClientDuration}},
	{"Processors", "The items that each processor got and passed on; the difference was dropped, or refused with its request. A processor of " +
		"several pipelines is counted once for all of them.",
		[]int{itemsIncoming, itemsOutgoing, processorDuration}},
	{"The processor batch", "Where it is the last processor in front of exporters with a queue, their queues merge, and these are counted for each of the exporters.", []int{batchSize, batchBytes, batchFull, batchTimeouts, batchMetadata}},
	{"The processor probabilistic_sampler", "", []int{sampledTraces, sampledLogs}},
	{"Items and attempts of the exporters", "Items are counted once, when their request is not sent again: a request that is accepted after a retry did not fail, and " +
		"one whose error is returned to the client did.", []int{itemsSent, itemsSendFailed, sendAttempts, requestsInFlight}},
	{"Queues of the exporters", "Of exporters with a `sending_queue`, which those that go over a network have unless it is switched off.", []int{queueSize, queueCapacity, enqueueFailed, enqueueSize, enqueueBytes, queueItems, queueHeld, queueHeldBytes, queueDurable}},
	{"Branches", "Where a request goes to several pipelines, or to several exporters or connectors of a pipeline.", []int{branchRepeats, branchDead}},
	{"Items held by receivers", "Reported = delivered + dropped + held.", []int{itemsDelivered, itemsDropped, itemsHeld, samplesWithoutStack}},
	{"Reloads of the configuration", "See [reload](reload.md).", []int{reloadSuccessful, reloadTime, reloadsDone}},
	{"Targets of receivers.pprof", "", []int{pprofUp, pprofFetches, pprofBytes, pprofDuration, pprofRestarts}},
}

// expand returns the rows of the table for each signal.
func expand(rows ...int) (all []instrument) {
	for _, i := range rows {
		in := instruments[i]
		if !in.perSignal() {
			all = append(all, in)
			continue
		}
		for _, s := range otlp.Signals() {
			all = append(all, in.of(s))
		}
	}
	return all
}

func allRows() []int {
	rows := make([]int, len(instruments))
	for i := range rows {
		rows[i] = i
	}
	return rows
}

// prometheusName returns a name as the endpoint on localhost:8888 shows it by
// default.
func prometheusName(t *testing.T, name string) string {
	t.Helper()
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithoutSuffixes)
	out, err := namer.Build(otlptranslator.Metric{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func renderPage(t *testing.T) string {
	t.Helper()
	var p strings.Builder
	p.WriteString(`# Metrics

<!-- Written by "go generate ./obsreport" from the table in obsreport/instruments.go. Do not edit. -->

The metrics of penstock itself. The names are the Collector's where it has the metric, so that dashboards and alerts
continue to work. The name in Prometheus is that of the default endpoint, localhost:8888/metrics; a histogram has the suffixes ` + "`_bucket`, `_sum`\nand `_count`" + `. The flags ` + "`without_units` and `without_type_suffix`" + ` of an endpoint change these names, as in the
Collector: unless both are set, names have the suffixes of unit and type. A scraper that asks for names in UTF-8, as Prometheus
does from version 3.0 on, gets the dots of names and attributes instead of underscores. All attributes have a bounded number of values.

The level of a metric is the lowest ` + "`service.telemetry.metrics.level`" + ` at which it is recorded; ` + "`none`" + ` records nothing. An embedding program
that gives a meter provider of its own selects metrics with the views of that.

The series of a counter exist from the first request of their signal and format on, at 0, unless stated otherwise.
`)
	used := map[*attr]bool{}
	for _, s := range sections {
		fmt.Fprintf(&p, "\n## %s\n\n", s.title)
		if s.text != "" {
			p.WriteString(s.text + "\n\n")
		}
		p.WriteString("| name | in Prometheus | level | kind | unit | attributes | meaning | also in |\n|---|---|---|---|---|---|---|---|\n")
		for _, in := range expand(s.rows...) {
			var attributes []string
			for _, a := range in.attributes {
				used[a] = true
				attributes = append(attributes, "`"+string(a.key)+"`")
			}
			fmt.Fprintf(&p, "| `%s` | `%s` | %s | %s | `%s` | %s | %s | %s |\n", in.name, prometheusName(t, in.name), levelNames[in.from], kindNames[in.kind], in.unit,
				strings.Join(attributes, ", "), strings.TrimSpace(in.text+" "+in.note), orDefault(in.collector, "penstock only"))
		}
	}
	p.WriteString("\n## Attributes\n\n| attribute | values |\n|---|---|\n")
	for _, a := range []*attr{
		&attrReceiver, &attrProcessor, &attrPolicy, &attrSampled, &attrExporter, &attrBranch, &attrTransport, &attrFormat, &attrSignal, &attrOtel, &attrOutcome, &attrResult, &attrReload, &attrReason, &attrConn, &attrDropped, &attrTarget, &attrProfile, &attrFetch,
		&attrMethod, &attrStatus, &attrRoute, &attrSystem, &attrRPC, &attrCode, &attrNetwork, &attrVersion, &attrScheme, &attrErrorType, &attrPermanent, &attrAddress, &attrPort, &attrPath, &attrLocal, &attrLocalPort, &attrDataType, &attrPipeline, &attrFate,
	} {
		if !used[a] {
			t.Errorf("no metric has the attribute %s", a.key)
		}
		delete(used, a)
		values := ""
		for i, v := range a.values {
			if i > 0 {
				values += ", "
			}
			values += "`" + v + "`"
		}
		if values != "" && a.text != "" {
			values += ". "
		}
		if a.detailed {
			values += "Only at level detailed. "
		}
		fmt.Fprintf(&p, "| `%s` | %s |\n", a.key, strings.TrimSpace(values+a.text))
	}
	for a := range used {
		t.Errorf("attribute %s is not on the page", a.key)
	}
	fmt.Fprintf(&p, "\nBuckets of durations end at %s; of sizes at %s.\n", bounds(secondsBounds, "s"), bounds(sizeBounds, "bytes"))
	p.WriteString(`
## The process

These are not in the table above, but on the same endpoint and the same as in the Collector: ` + "`otelcol_process_uptime`, `otelcol_process_cpu_seconds`,\n`otelcol_process_memory_rss`, `otelcol_process_runtime_heap_alloc_bytes`, `otelcol_process_runtime_total_alloc_bytes` and\n`otelcol_process_runtime_total_sys_memory_bytes`" + `.
`)
	return p.String()
}

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func bounds(of []float64, unit string) string {
	var out []string
	for _, b := range of {
		out = append(out, fmt.Sprintf("%v", b))
		if b >= 1 {
			out[len(out)-1] = fmt.Sprintf("%.12g", b)
		}
	}
	return strings.Join(out, ", ") + " " + unit
}

func TestMetricsPage(t *testing.T) {
	file := filepath.Join("..", "docs", "metrics.md")
	page := renderPage(t)
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(found), page); diff != "" {
		t.Errorf("docs/metrics.md is stale; run go generate ./obsreport (-found +wanted):\n%s", diff)
	}
	var shown []int
	for _, s := range sections {
		shown = append(shown, s.rows...)
	}
	if slices.Sort(shown); !slices.Equal(shown, allRows()) {
		t.Errorf("the page has rows %v, the table %v", shown, allRows())
	}
}

// The names in the Collector, in full: from its metadata.yaml of receivers and
// exporters, and from otelhttp and otelgrpc v0.72.
func TestCollectorNames(t *testing.T) {
	t.Parallel()
	want := []string{
		"otelcol_exporter_in_flight_requests", "otelcol_exporter_queue_size", "otelcol_exporter_queue_capacity",
		"otelcol_exporter_enqueue_failed_log_records", "otelcol_exporter_enqueue_failed_metric_points",
		"otelcol_exporter_enqueue_failed_profile_samples", "otelcol_exporter_enqueue_failed_spans",
		"otelcol_exporter_enqueue_size", "otelcol_exporter_enqueue_size_bytes",
		"otelcol_exporter_send_failed_log_records", "otelcol_exporter_send_failed_metric_points",
		"otelcol_exporter_send_failed_profile_samples", "otelcol_exporter_send_failed_spans",
		"otelcol_exporter_sent_log_records", "otelcol_exporter_sent_metric_points",
		"otelcol_exporter_sent_profile_samples", "otelcol_exporter_sent_spans",
		"otelcol_receiver_accepted_log_records", "otelcol_receiver_accepted_metric_points",
		"otelcol_receiver_accepted_profile_samples", "otelcol_receiver_accepted_spans",
		"otelcol_receiver_failed_log_records", "otelcol_receiver_failed_metric_points",
		"otelcol_receiver_failed_profile_samples", "otelcol_receiver_failed_spans",
		"otelcol_receiver_refused_log_records", "otelcol_receiver_refused_metric_points",
		"otelcol_receiver_refused_profile_samples", "otelcol_receiver_refused_spans",
		"otelcol_receiver_requests",
		"otelcol_processor_batch_batch_send_size", "otelcol_processor_batch_batch_send_size_bytes", "otelcol_processor_batch_metadata_cardinality",
		"otelcol_processor_batch_batch_size_trigger_send", "otelcol_processor_batch_timeout_trigger_send",
		"otelcol_processor_incoming_items", "otelcol_processor_outgoing_items", "otelcol_processor_internal_duration",
		"otelcol_processor_probabilistic_sampler_count_traces_sampled", "otelcol_processor_probabilistic_sampler_count_logs_sampled",
		"http.server.request.body.size", "http.server.request.duration", "http.server.response.body.size",
		"http.client.request.body.size", "http.client.request.duration", "rpc.client.call.duration",
		"rpc.server.call.duration", "rpc.server.request.size",
	}
	var got []string
	for _, in := range expand(allRows()...) {
		if in.collector != "" {
			got = append(got, in.name)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// exerciseAll records every instrument with every attribute.
func exerciseAll(t *testing.T, mp *sdkmetric.MeterProvider) {
	t.Helper()
	ctx := t.Context()
	for _, transport := range attrTransport.values {
		r := newSilent(t, transport, mp)
		r.ConnOpened()
		for _, s := range otlp.Signals() {
			q := Request{Signal: s, Format: "json", Method: "POST", Route: s.Spec().Path, Status: 200, Reason: ReasonPipeline, WireBytes: 1, Bytes: 1,
				Protocol: "HTTP/1.1", Local: netip.MustParseAddrPort("127.0.0.1:4318")}
			r.receive(ctx, q, Outcome{1, 1, 1}, nil)
		}
	}
	signals := otlp.Signals()
	if _, err := NewHeldItems("pprof", mp, func(otlp.Signal) HeldStats {
		return HeldStats{Delivered: 1, Held: 1, Dropped: map[string]int64{"refused": 1}}
	}, signals[:]...); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWithoutStack("pprof", mp, func() int64 { return 1 }); err != nil {
		t.Fatal(err)
	}
	targets, err := NewPprofTargets("pprof", mp, func() []PprofTarget {
		return []PprofTarget{{Name: "localhost:6060", Up: true, Fetches: map[string]int64{"success": 1}, Bytes: 1, Restarts: 1}}
	})
	if err != nil {
		t.Fatal(err)
	}
	targets.Fetched(ctx, "heap", time.Millisecond)
	p, err := NewProcessor("resource/2", mp, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		p.Processed(ctx, s, 2, 1, time.Microsecond)
	}
	batching, err := NewBatching("batch", mp, true, func() int { return 1 })
	if err != nil {
		t.Fatal(err)
	}
	batching.Sent(ctx, Full, 1, 1)
	batching.Sent(ctx, Timeout, 1, 1)
	sampling, err := NewSampling("probabilistic_sampler", mp, "sampling_priority")
	if err != nil {
		t.Fatal(err)
	}
	sampling.Decided(ctx, otlp.Traces, 0, 1, 1)
	sampling.Decided(ctx, otlp.Logs, 0, 1, 1)
	branch, err := NewBranch("pipeline traces/2", mp)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range otlp.Signals() {
		branch.Repeated(ctx, s, 1)
		branch.DeadLettered(ctx, s, 1)
	}
	reloads, err := NewReloads(mp)
	if err != nil {
		t.Fatal(err)
	}
	reloads.Began(time.Unix(1, 0))
	e, err := NewExporter("otlp", mp, true, to("http://gateway:4318/v1/x"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := NewClient("otlp", mp, to("gateway:4317"))
	if err != nil {
		t.Fatal(err)
	}
	target := &url.URL{Scheme: "http", Host: "gateway:4318"}
	client.Called(ctx, Call{Signal: otlp.Logs, URL: target, Status: 200, Protocol: "HTTP/2.0"})
	client.Called(ctx, Call{Signal: otlp.Logs, Code: 14})
	for _, s := range otlp.Signals() {
		q, err := NewQueue("otlp", "pipeline", s, mp, func() QueueStats { return QueueStats{Size: 1, Capacity: 2, Accepted: 1, Held: 1, HeldBytes: 1} })
		if err != nil {
			t.Fatal(err)
		}
		if err := q.MeasureSizes("otlp", mp); err != nil {
			t.Fatal(err)
		}
		q.Refused(ctx, 1)
		q.Added(ctx, 1, 100)
		e.Begin(ctx, s)
		e.Sent(ctx, s, 2, &pipeline.Error{Kind: pipeline.Partial, Rejected: 1})
	}
}

// The page matches the recorded metrics: names, kinds, units, texts and
// attributes.
func TestPageMatchesMetrics(t *testing.T) {
	t.Parallel()
	b := bench{reader: sdkmetric.NewManualReader()}
	exerciseAll(t, sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)))
	got := b.collect(t)
	for _, in := range expand(allRows()...) {
		o, ok := got[in.name]
		if !ok {
			t.Errorf("%s is on the page, but not recorded", in.name)
			continue
		}
		delete(got, in.name)
		if o.Kind != kindNames[in.kind] || o.Unit != in.unit || o.Description != in.text {
			t.Errorf("%s is a %s of %s, %q; on the page a %s of %s, %q", in.name, o.Kind, o.Unit, o.Description, kindNames[in.kind], in.unit, in.text)
		}
		for set := range o.Values {
			keys := map[string]string{}
			for pair := range strings.SplitSeq(set, ",") {
				if key, value, ok := strings.Cut(pair, "="); ok {
					keys[key] = value
				}
			}
			for _, a := range in.attributes {
				if v, ok := keys[string(a.key)]; !ok && !a.optional || ok && a.values != nil && !slices.Contains(a.values, v) {
					t.Errorf("%s{%s}: %s is %q, on the page one of %v", in.name, set, a.key, v, a.values)
				}
				delete(keys, string(a.key))
			}
			if len(keys) > 0 {
				t.Errorf("%s{%s}: %v is not on the page", in.name, set, slices.Collect(maps.Keys(keys)))
			}
		}
	}
	for name := range got {
		t.Errorf("%s is recorded, but not on the page", name)
	}
}

// The exporter of the default endpoint gives the names in the second column.
func TestPrometheusNames(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	reader, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo(), otelprom.WithoutTargetInfo(),
		otelprom.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithoutSuffixes))
	if err != nil {
		t.Fatal(err)
	}
	exerciseAll(t, sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got, want := map[string]string{}, map[string]string{}
	for _, f := range families {
		got[f.GetName()] = f.GetType().String()
	}
	for _, in := range expand(allRows()...) {
		want[prometheusName(t, in.name)] = map[kind]string{counter: "COUNTER", observed: "COUNTER", upDown: "GAUGE", gauge: "GAUGE", seconds: "HISTOGRAM", size: "HISTOGRAM", amount: "HISTOGRAM"}[in.kind]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
