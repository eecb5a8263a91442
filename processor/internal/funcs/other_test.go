package funcs_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	logscollectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	tracecollectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/ottl"
)

// span returns what statements make of a span.
func span(t *testing.T, s *tracepb.Span, statements ...string) *tracepb.Span {
	t.Helper()
	request, err := proto.Marshal(&tracecollectorpb.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{s}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := pass(t, otlp.Traces, request, plansOf(t, otlp.Traces, "span", ottl.Propagate, nil, statements...))
	if err != nil {
		t.Fatal(err)
	}
	r := &tracecollectorpb.ExportTraceServiceRequest{}
	if err := proto.Unmarshal(out, r); err != nil {
		t.Fatal(err)
	}
	return r.ResourceSpans[0].ScopeSpans[0].Spans[0]
}

func TestSpanNames(t *testing.T) {
	const server, client, producer, consumer, internal = tracepb.Span_SPAN_KIND_SERVER, tracepb.Span_SPAN_KIND_CLIENT, tracepb.Span_SPAN_KIND_PRODUCER, tracepb.Span_SPAN_KIND_CONSUMER, tracepb.Span_SPAN_KIND_INTERNAL
	for _, c := range []struct {
		kind             tracepb.Span_SpanKind
		attributes, want string // "" is the name as it was
	}{
		{server, "http.request.method=GET,http.route=/a/{id}", "GET /a/{id}"},
		{server, "http.request.method=GET,http.method=PUT,url.template=/x", "GET"},
		{server, "http.method=GET,http.route=/a", "GET /a"},
		{client, "http.request.method=GET,http.route=/a,url.template=/x", "GET /x"},
		{server, "rpc.system=grpc,rpc.method=m,rpc.service=s", "s/m"},
		{client, "rpc.system.name=grpc,rpc.method=s/m", "s/m"},
		{client, "rpc.system.name=grpc,rpc.grpc.service=s", "s/*"},
		{client, "rpc.system.name=grpc", "grpc"},
		{client, "rpc.method=m", ""},
		{client, "db.system.name=pg,db.query.summary=SELECT t", "SELECT t"},
		{client, "db.system=pg,db.operation=SELECT,db.name=n,db.collection.name=t", "SELECT n.t"},
		{client, "db.system=pg,db.operation.name=CALL,db.stored_procedure.name=p", "CALL p"},
		{client, "db.system=pg,db.operation.name=SELECT", "SELECT"},
		{client, "db.system=pg,db.namespace=n", "n"},
		{client, "db.system=pg,server.address=h,server.port=5432", "h:5432"},
		{client, "db.system=pg,db.operation.name=SELECT,server.address=h", "SELECT h"},
		{client, "db.system=pg", "pg"},
		{server, "db.system=pg", ""},
		{producer, "messaging.system=kafka,messaging.operation.name=send,messaging.destination.name=t", "send t"},
		{consumer, "messaging.system=kafka,messaging.operation=process,messaging.destination.temporary=true,messaging.destination.name=t", "process (temporary)"},
		{consumer, "messaging.system=kafka,messaging.destination.anonymous=true", "(anonymous)"},
		{server, "messaging.system=kafka,messaging.destination.template=t-{id},messaging.destination=t-1", "t-{id}"},
		{client, "messaging.system=kafka,messaging.operation.name=ack", "ack"},
		{client, "messaging.system=kafka", "kafka"},
		{client, "messaging.system=kafka,server.address=h", "h"},
		{producer, "http.request.method=GET", ""},
		{internal, "http.request.method=GET", ""},
		{server, "", ""},
	} {
		s := &tracepb.Span{Kind: c.kind, Name: "old", TraceState: "k=v"}
		for kv := range strings.SplitSeq(c.attributes, ",") {
			k, v, _ := strings.Cut(kv, "=")
			value := &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
			if v == "true" {
				value = &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}
			}
			s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: k, Value: value})
		}
		want := proto.Clone(s).(*tracepb.Span)
		if c.want != "" {
			want.Name = c.want
		}
		if got := span(t, s, `set_semconv_span_name("1.37.0")`); !proto.Equal(got, want) {
			t.Errorf("%v %s: got %v, want %v", c.kind, c.attributes, got, want)
		}
		if c.want != "" {
			want.Attributes = append(want.Attributes, &commonpb.KeyValue{Key: "was", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "old"}}})
		}
		if got := span(t, s, `set_semconv_span_name("1.43.0", "was")`); !proto.Equal(got, want) {
			t.Errorf("%v %s, with the old name: got %v, want %v", c.kind, c.attributes, got, want)
		}
	}
}

func TestLogFormats(t *testing.T) {
	for _, c := range []struct{ body, statement, want string }{
		{`h - u [t] "GET / HTTP/1.1" 200 5`, `set(body, ParseCLF(body))`, `"intValue":"200"`},
		{`h - u [t] "GET / HTTP/1.1" 200 5 "r" "agent"`, `set(body, ParseCLF(body, "combined"))`, `"clf.user_agent"`},
		{`CEF:0|V|P|1|100|n|10|src=a msg=b c`, `set(body, ParseCEF(body)["cef.extensions"]["msg"])`, `{"stringValue":"b c"}`},
		{`LEEF:1.0|V|P|1|id|a=1`, `set(body, ParseLEEF(body)["leef.attributes"])`, `{"kvlistValue":{"values":[{"key":"a","value":{"stringValue":"1"}}]}}`},
		{"#Version: 1.0\n#Fields: a b\n1 2", `set(body, ParseELF(body)["elf.entries"][0]["b"])`, `{"stringValue":"2"}`},
		{"", `set(body, ParseELF(body))`, `ParseELF(body)): the text is empty`},
		{"x", `set(body, ParseCEF(body))`, `the message has no header "CEF:"`},
	} {
		request, err := proto.Marshal(&logscollectorpb.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{
			{Body: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: c.body}}}}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		out, err := pass(t, otlp.Logs, request, plansOf(t, otlp.Logs, "log", ottl.Propagate, nil, c.statement))
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: got %v, want %s", c.statement, err, c.want)
			}
			continue
		}
		r := &logscollectorpb.ExportLogsServiceRequest{}
		if err := proto.Unmarshal(out, r); err != nil {
			t.Fatal(err)
		}
		b, _ := protojson.Marshal(r.ResourceLogs[0].ScopeLogs[0].LogRecords[0].Body)
		if got := strings.ReplaceAll(string(b), " ", ""); !strings.Contains(got, strings.ReplaceAll(c.want, " ", "")) {
			t.Errorf("%s: got %.400s, want %s", c.statement, got, c.want)
		}
	}
}

// statements has each function, by context.
var statements = map[string][]string{
	"metric": {
		`convert_sum_to_gauge()`, `convert_gauge_to_sum("delta", true)`, `convert_gauge_to_sum("cumulative", false)`,
		`extract_count_metric(true) where type != METRIC_DATA_TYPE_SUM`, `extract_sum_metric(false, "a") where type != METRIC_DATA_TYPE_SUM`,
		`extract_percentile_metric(99.0)`, `extract_percentile_metric(0.1)`, `copy_metric(name="copy") where name != "copy"`, `scale_metric(2.5, "unit")`,
		`aggregate_on_attributes("sum")`, `aggregate_on_attributes("median", ["a"])`, `aggregate_on_attributes("count", [])`, `aggregate_on_attributes("mean", ["b", ""])`,
		`aggregate_on_attribute_value("max", "a", ["b", "c"], "new")`, `aggregate_on_attribute_value("min", "", [""], "")`,
		`convert_exponential_histogram_to_histogram("upper", [0.0, 1.0])`, `convert_exponential_histogram_to_histogram("midpoint", [1.0, 1000.0])`,
		`convert_exponential_histogram_to_histogram("uniform", [0.1, 10.0, 1000000.0])`, `convert_exponential_histogram_to_histogram("random", [0.1, 10.0, 1000000.0])`,
		`convert_summary_quantile_val_to_gauge("a")`, `set(name, "x") where HasAttrKeyOnDatapoint("a") or HasAttrOnDatapoint("b", "c")`,
	},
	"datapoint": {
		`convert_summary_count_val_to_sum("delta", true)`, `convert_summary_sum_val_to_sum("cumulative", false, "s")`,
		`set(attributes["a"], "b")`, `merge_histogram_buckets(attributes["a"])`, `merge_histogram_buckets(2, "limit_buckets")`,
	},
	"span": {`set_semconv_span_name("1.40.0", "a")`, `set(name, "root") where IsRootSpan()`},
	"log":  {`set(body, ParseCLF(body))`, `set(attributes["p"], ParseCEF(body))`, `set(attributes["p"], ParseELF(body))`, `set(attributes["p"], ParseLEEF(body))`},
}

// TestRandomRequests: what passes Check passes it again, and items are counted, for each
// function alone and for all of them. The words are such that functions find their keys.
func TestRandomRequests(t *testing.T) {
	words := append([]string{"http.method", "CEF:0|a|b|c|d|e|f|a=b", "LEEF:1.0|a|b|c|d|a=b", "#Version: 1\n#Fields: a\nb", `h - - [t] "-" 1 2`}, testkit.RandomWords...)
	for context, list := range statements {
		s := ottl.ContextOf(context).Signal()
		sets := [][]string{list}
		for _, text := range list {
			sets = append(sets, []string{text})
		}
		for _, set := range sets {
			plans := plansOf(t, s, context, ottl.Ignore, nil, set...)
			for seed := range int64(150) {
				r := testkit.NewRandom(seed)
				r.Words = words
				request := r.Request(s)
				if _, err := pass(t, s, request, plans); err != nil {
					t.Fatalf("seed %d, %s: %v", seed, set, err)
				}
			}
		}
	}
}

// FuzzRequests is TestRandomRequests with requests of any bytes.
func FuzzRequests(f *testing.F) {
	for seed := range int64(5) {
		for context := range statements {
			f.Add(testkit.NewRandom(seed).Request(ottl.ContextOf(context).Signal()), uint8(seed))
		}
	}
	f.Fuzz(func(t *testing.T, request []byte, which uint8) {
		for context, list := range statements {
			s := ottl.ContextOf(context).Signal()
			if _, err := otlp.Check(s, request); err != nil {
				continue
			}
			text := list[int(which)%len(list)]
			_, _ = pass(t, s, request, plansOf(t, s, context, ottl.Ignore, nil, text))
		}
	})
}
