package filterprocessor

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func decode(t *testing.T, text string) (Config, error) {
	t.Helper()
	cfg := DefaultConfig()
	err := testkit.Decode(t, text, &cfg)
	return cfg, err
}

// filtered returns what the processor leaves of a request, nil for nothing, and what it logs.
func filtered(t *testing.T, s otlp.Signal, config string, request []byte) (out []byte, logged string, err error) {
	t.Helper()
	cfg, err := decode(t, config)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	p, err := New(cfg, component.Settings{Signal: s, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(s, request, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	next, err := p.Process(t.Context(), b)
	if err != nil || next == nil {
		return nil, log.String(), err
	}
	if next != b {
		defer next.Release()
	}
	if n, err := otlp.Check(s, next.Bytes()); err != nil || n != next.Items() {
		t.Errorf("the result has %d items, the batch says %d: %v", n, next.Items(), err)
	}
	return bytes.Clone(next.Bytes()), log.String(), nil
}

// requests have the same groups: in resource r=1 the scopes s and t, in resource r=2 a scope
// s, each with two items.
var requests = map[string]string{
	"traces": `{"resourceSpans":[
		{"resource":{"attributes":@(r=1,service.name=shop)},"scopeSpans":[
			{"scope":{"name":"s"},"spans":[{"name":"a","kind":2,"attributes":@(k=1),"events":[{"name":"e"},{"name":"f"}]},{"name":"b","parentSpanId":"0102030405060708"}]},
			{"scope":{"name":"t"},"spans":[{"name":"c"},{"name":"d"}]}]},
		{"resource":{"attributes":@(r=2)},"scopeSpans":[{"scope":{"name":"s"},"spans":[{"name":"a2"},{"name":"b2"}]}]}]}`,
	"metrics": `{"resourceMetrics":[
		{"resource":{"attributes":@(r=1)},"scopeMetrics":[
			{"scope":{"name":"s"},"metrics":[{"name":"a","gauge":{"dataPoints":[{"attributes":@(k=1),"asInt":"1"},{"attributes":@(k=2),"asInt":"2"}]}},{"name":"b","sum":{"dataPoints":[{"attributes":@(k=1),"asInt":"3"}]}}]},
			{"scope":{"name":"t"},"metrics":[{"name":"c","summary":{"dataPoints":[{"attributes":@(q=1)}]}},{"name":"d","gauge":{}}]}]},
		{"resource":{"attributes":@(r=2)},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[{"name":"a2","gauge":{"dataPoints":[{"asInt":"5"}]}},{"name":"b2","gauge":{"dataPoints":[{"asInt":"6"}]}}]}]}]}`,
	"logs": `{"resourceLogs":[
		{"resource":{"attributes":@(r=1)},"scopeLogs":[
			{"scope":{"name":"s"},"logRecords":[{"eventName":"a","body":{"stringValue":"one"},"severityText":"INFO","severityNumber":9,"attributes":@(k=1)},{"eventName":"b","body":{"stringValue":"two"},"severityText":"WARN2","severityNumber":14}]},
			{"scope":{"name":"t"},"logRecords":[{"eventName":"c"},{"eventName":"d","severityText":"DEBUG","severityNumber":5}]}]},
		{"resource":{"attributes":@(r=2)},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"eventName":"a2"},{"eventName":"b2","attributes":@(k=1)}]}]}]}`,
	"profiles": `{"resourceProfiles":[
		{"resource":{"attributes":@(r=1)},"scopeProfiles":[
			{"scope":{"name":"s"},"profiles":[{"originalPayloadFormat":"a","samples":[{},{}]},{"originalPayloadFormat":"b","samples":[{}]}]},
			{"scope":{"name":"t"},"profiles":[{"originalPayloadFormat":"c","samples":[{}]},{"originalPayloadFormat":"d"}]}]},
		{"resource":{"attributes":@(r=2)},"scopeProfiles":[{"scope":{"name":"s"},"profiles":[{"originalPayloadFormat":"a2","samples":[{}]},{"originalPayloadFormat":"b2","samples":[{}]}]}]}],
		"dictionary":{"stringTable":[""],"mappingTable":[{}],"locationTable":[{}],"functionTable":[{}],"linkTable":[{}],"attributeTable":[{}],"stackTable":[{}]}}`,
}

// names returns the items of a request, with how many groups are around them.
func names(s otlp.Signal, request []byte) string {
	name := map[otlp.Signal]func([]byte) []byte{
		otlp.Traces:   func(b []byte) []byte { return otlp.Span(b).Name() },
		otlp.Metrics:  func(b []byte) []byte { return otlp.Metric(b).Name() },
		otlp.Logs:     func(b []byte) []byte { return otlp.LogRecord(b).EventName() },
		otlp.Profiles: func(b []byte) []byte { return otlp.Profile(b).OriginalPayloadFormat() },
	}[s]
	var list []string
	for item := range otlp.Items(request) {
		list = append(list, string(name(item)))
	}
	return strings.Join(list, " ")
}

func TestConditions(t *testing.T) {
	const all = "a b c d a2 b2"
	for _, c := range []struct{ signal, config, want string }{
		{"traces", ``, all},
		{"traces", `traces: `, all},
		{"traces", `{traces: {span: , resource: []}, trace_conditions: }`, all},
		{"traces", `traces: {resource: ['attributes["r"] == "1"']}`, "a2 b2"},
		{"traces", `traces: {span: ['name == "a"', 'attributes["k"] == "2"', 'resource.attributes["r"] == "2"']}`, "b c d"},
		{"traces", `traces: {span: ['IsRootSpan()']}`, "b"},
		{"traces", `traces: {span: ['span.name == "b"'], spanevent: ['name == "e"', 'spanevent.name == "f"']}`, "a c d a2 b2"},
		{"traces", `traces: {resource: ['attributes["r"] == "2"'], span: ['instrumentation_scope.name == "t"']}`, "a b"},
		{"traces", `traces: {span: ['true']}`, ""},
		{"traces", `trace_conditions: ['span.name == "a"', 'resource.attributes["r"] == "2"', 'scope.name == "t"']`, "b"},
		{"traces", `trace_conditions: [{context: scope, conditions: ['name == "s"']}, {context: SPAN, error_mode: propagate, conditions: ['name == "c"', 'name == "x"']}]`, "d"},
		{"traces", `logs: {log_record: ['true']}`, all},

		{"metrics", `metrics: {metric: ['name == "a"', 'HasAttrOnDatapoint("q", "1")', 'type == METRIC_DATA_TYPE_SUM']}`, "d a2 b2"},
		{"metrics", `metrics: {metric: ['HasAttrKeyOnDatapoint("k")']}`, "c d a2 b2"},
		{"metrics", `metrics: {datapoint: ['attributes["k"] == "1"']}`, "a c a2 b2"}, // b has no points left, d had none
		{"metrics", `metrics: {metric: ['name == "c"'], datapoint: ['value_int == 5']}`, "a b b2"},
		{"metrics", `metric_conditions: ['metric.name == "a"', 'datapoint.value_int == 3']`, "c a2 b2"},
		{"metrics", `metrics: {resource: ['attributes["r"] != nil']}`, ""},

		{"logs", `logs: {log_record: ['severity_number < SEVERITY_NUMBER_WARN']}`, "b"},
		{"logs", `logs: {log_record: ['log.body == "one"', 'attributes["k"] == "1"']}`, "b c d a2"},
		{"logs", `logs: {resource: ['resource.attributes["r"] == "1"']}`, "a2 b2"},
		{"logs", `log_conditions: ['log.attributes["k"] == "1"']`, "b c d a2"},

		{"profiles", `profiles: {profile: ['original_payload_format == "a"']}`, "b c d a2 b2"},
		{"profiles", `profiles: {resource: ['attributes["r"] == "2"'], profile: ['profile.original_payload_format == "c"']}`, "a b d"},
		{"profiles", `profile_conditions: ['scope.name == "s"']`, "c d"},

		{"traces", `spans: {include: {match_type: strict, span_names: [a, c]}}`, "a c"},
		{"traces", `spans: {exclude: {match_type: regexp, span_names: ["^a"]}}`, "b c d b2"},
		{"traces", `spans: {include: {match_type: strict, services: [shop]}, exclude: {match_type: strict, attributes: [{key: k, value: "1"}]}}`, "b c d"},
		{"metrics", `metrics: {include: {match_type: strict, metric_names: [a, b2, nothing]}}`, "a b2"},
		{"metrics", `metrics: {exclude: {match_type: regexp, metric_names: ["2$"], regexp: {cacheenabled: true}}}`, "a b c d"},
		{"metrics", `metrics: {include: {match_type: regexp, metric_names: [".*"]}, exclude: {match_type: strict, metric_names: [a]}}`, "b c d a2 b2"},
		{"metrics", `metrics: {include: {match_type: strict, resource_attributes: [{key: r, value: "1"}]}, exclude: {match_type: strict, metric_names: [a]}}`, "b c d"},
		{"metrics", `metrics: {exclude: {match_type: strict, resource_attributes: [{key: r, value: "1"}]}}`, "a2 b2"},
		{"logs", `logs: {include: {match_type: strict, severity_texts: [INFO, DEBUG]}}`, "a d"},
		{"logs", `logs: {exclude: {match_type: regexp, bodies: ["^t"]}}`, "a c d a2 b2"},
		{"logs", `logs: {include: {match_type: strict, severity_number: {min: INFO}}}`, "a b"},
		{"logs", `logs: {include: {match_type: strict, severity_number: {min: WARN, match_undefined: true}}}`, "b c a2 b2"},
		{"logs", `logs: {include: {match_type: strict, record_attributes: [{key: k, value: "1"}]}, exclude: {match_type: strict, resource_attributes: [{key: r, value: "2"}]}}`, "a"},
		{"logs", `logs: {include: {match_type: strict}, exclude: }`, all},
	} {
		s := signalOf(t, c.signal)
		out, logged, err := filtered(t, s, c.config, testkit.RequestOf(t, s, requests[c.signal]))
		if err != nil || logged != "" {
			t.Errorf("%s: %v, logged %s", c.config, err, logged)
			continue
		}
		if got := names(s, out); got != c.want {
			t.Errorf("%s %s\n got %q\nwant %q", c.signal, c.config, got, c.want)
		}
	}
}

func signalOf(t *testing.T, name string) otlp.Signal {
	t.Helper()
	for _, s := range otlp.Signals() {
		if s.String() == name {
			return s
		}
	}
	t.Fatalf("no signal %s", name)
	return 0
}

// TestWhatIsLeft: data points and events go from their items, groups that a drop leaves
// empty go, and all else stays.
func TestWhatIsLeft(t *testing.T) {
	out, _, err := filtered(t, otlp.Metrics, `metrics: {datapoint: ['attributes["k"] != "2"']}`, testkit.RequestOf(t, otlp.Metrics, requests["metrics"]))
	if err != nil {
		t.Fatal(err)
	}
	testkit.SameRequest(t, otlp.Metrics, out, `{"resourceMetrics":[{"resource":{"attributes":@(r=1)},"scopeMetrics":[{"scope":{"name":"s"},"metrics":[{"name":"a","gauge":{"dataPoints":[{"attributes":@(k=2),"asInt":"2"}]}}]}]}]}`)

	out, _, err = filtered(t, otlp.Traces, `{traces: {span: ['name != "a"'], spanevent: ['name == "e"']}}`, testkit.RequestOf(t, otlp.Traces, requests["traces"]))
	if err != nil {
		t.Fatal(err)
	}
	testkit.SameRequest(t, otlp.Traces, out, `{"resourceSpans":[{"resource":{"attributes":@(r=1,service.name=shop)},"scopeSpans":[{"scope":{"name":"s"},"spans":[{"name":"a","kind":2,"attributes":@(k=1),"events":[{"name":"f"}]}]}]}]}`)
}

func TestErrorModes(t *testing.T) {
	const failing = `traces: {span: ['1 / kind == 1', 'name == "b"']}`
	for _, c := range []struct {
		config     string
		logs, ends bool
	}{
		{failing, true, false},
		{"error_mode: silent\n" + failing, false, false},
		{"error_mode: Propagate\n" + failing, false, true},
		{`{error_mode: propagate, trace_conditions: [{context: span, error_mode: silent, conditions: ['1 / kind == 1', 'name == "b"']}]}`, false, false},
	} {
		out, logged, err := filtered(t, otlp.Traces, c.config, testkit.RequestOf(t, otlp.Traces, requests["traces"]))
		if (logged != "") != c.logs || (err != nil) != c.ends {
			t.Errorf("%s: %v, logged %.400s", c.config, err, logged)
		}
		if err != nil && !strings.Contains(err.Error(), "1 / kind == 1") {
			t.Errorf("%s: %v", c.config, err)
		}
		if want := "a c d a2 b2"; err == nil && names(otlp.Traces, out) != want {
			t.Errorf("%s: %s, want %s", c.config, names(otlp.Traces, out), want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []struct{ config, want string }{ // the place, and what is wrong
		{`error_mode: x`, `1:13: error_mode: invalid value "x"`},
		{`trace: {}`, `1:1: trace: unknown key, did you mean "traces"?`},
		{`traces: {spans: ['true']}`, `1:10: traces.spans: unknown key, did you mean "span"?`},
		{`traces: {span: ['name == "a"', 'nam == "b"']}`, `1:32: traces.span[1]: compile "nam == \"b\"" at column 1: context span has no path "nam", did you mean "name"?`},
		{`metrics: {datapoint: ['value ==']}`, `1:23: metrics.datapoint[0]: parse the condition`},
		{`metrics: {datapoint: ['HasAttrKeyOnDatapoint("a")']}`, `metrics.datapoint[0]: `},
		{`logs: {log_record: ['IsRootSpan()']}`, `logs.log_record[0]: `},
		{`profiles: {profile: ['set(period, 1)']}`, `profiles.profile[0]: `},
		{`trace_conditions: ['name == "a"']`, `1:20: trace_conditions[0]: `},
		{`trace_conditions: [{context: log, conditions: ['true']}]`, `1:30: trace_conditions[0].context: unknown context "log" of traces`},
		{`trace_conditions: [{context: span, conditions: ['name == "a"', 'x']}]`, `trace_conditions[0].conditions[1]: `},
		{`{traces: {span: ['true']}, trace_conditions: ['span.name == "a"']}`, `trace_conditions: trace_conditions and the conditions of traces cannot be used together`},
		{`{traces: {span: ['true']}, spans: {include: {match_type: strict, span_names: [a]}}}`, `traces.span: the conditions of traces and include and exclude of spans cannot be used together`},
		{`{spans: {include: {match_type: strict, span_names: [a]}}, trace_conditions: ['span.name == "a"']}`, `trace_conditions: trace_conditions and include and exclude of spans cannot be used together`},
		{`metrics: {metric: ['true'], exclude: {match_type: strict, metric_names: [a]}}`, `metrics.metric: the conditions of metrics and include and exclude of metrics cannot be used together`},
		{`spans: {include: {span_names: [a]}}`, `spans.include`},
		{`spans: {include: {match_type: glob, span_names: [a]}}`, `spans.include`},
		{`spans: {include: {match_type: regexp, span_names: ["("]}}`, `spans.include`},
		{`metrics: {include: {match_type: expr, expressions: ['x']}}`, `metrics.include.match_type: the expressions of match_type expr are not supported: write conditions of OTTL`},
		{`metrics: {include: {match_type: regexp, metric_names: ["("]}}`, `metrics.include`},
		{`logs: {exclude: {match_type: regexp, bodies: ["("]}}`, `logs.exclude`},
		{`logs: {exclude: {match_type: strict, severity_number: {min: LOUD}}}`, `logs.exclude`},
	} {
		_, err := decode(t, c.config)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.config, err, c.want)
		}
	}
}

// TestRandomRequests: what is left of a request is valid, and is counted.
func TestRandomRequests(t *testing.T) {
	const config = `
traces: {resource: ['attributes["a"] == "b"'], span: ['name == "a"', 'IsRootSpan()'], spanevent: ['name == "c"']}
metrics: {metric: ['HasAttrKeyOnDatapoint("a") and name == "b"'], datapoint: ['attributes["a"] == "b"', 'flags == 1']}
logs: {log_record: ['body == "a"', 'severity_number == 1']}
profiles: {profile: ['period == 0', 'original_payload_format == "a"']}
`
	for _, s := range otlp.Signals() {
		for seed := range int64(200) {
			if _, _, err := filtered(t, s, config, testkit.NewRandom(seed).Request(s)); err != nil {
				t.Fatalf("%s, seed %d: %v", s, seed, err)
			}
		}
	}
}
