package badinput

import (
	"bytes"
	"fmt"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	profilespb "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/otlp"
)

// names are the $variables that differ by signal.
var names = map[otlp.Signal]map[string]string{
	otlp.Traces:   signalNames(otlp.Traces, "resourceSpans", "scopeSpans", "spans"),
	otlp.Metrics:  signalNames(otlp.Metrics, "resourceMetrics", "scopeMetrics", "metrics"),
	otlp.Logs:     signalNames(otlp.Logs, "resourceLogs", "scopeLogs", "logRecords"),
	otlp.Profiles: signalNames(otlp.Profiles, "resourceProfiles", "scopeProfiles", "profiles"),
}

func signalNames(s otlp.Signal, byResource, byScope, items string) map[string]string {
	return map[string]string{
		"signal": s.String(), "path": s.Spec().Path, "service": s.Spec().Service, "rpc": s.Spec().Method,
		"rx": byResource, "sx": byScope, "ix": items, // of OTLP/JSON
	}
}

// validItems is the number of items in a valid request.
const validItems = 1

// validJSON are the items of a valid JSON request, and its other fields.
var validJSON = map[otlp.Signal]struct{ item, more string }{
	otlp.Traces:  {item: `{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"GET /","kind":2,"startTimeUnixNano":"1700000000000000000"}`},
	otlp.Metrics: {item: `{"name":"queue","gauge":{"dataPoints":[{"timeUnixNano":"1700000000000000000","asInt":"7"}]}}`},
	otlp.Logs:    {item: `{"timeUnixNano":"1700000000000000000","severityText":"INFO","body":{"stringValue":"hello"}}`},
	otlp.Profiles: {
		item: `{"samples":[{"stackIndex":1,"timestampsUnixNano":["1700000000000000000"]}]}`,
		more: `,"dictionary":{"stringTable":["","main"],"stackTable":[{},{}]}`,
	},
}

// validRequestJSON returns a valid request in OTLP/JSON.
func validRequestJSON(s otlp.Signal) []byte {
	n, v := names[s], validJSON[s]
	return fmt.Appendf(nil, `{"%s":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]},"%s":[{"%s":[%s]}]}]%s}`,
		n["rx"], n["sx"], n["ix"], v.item, v.more)
}

// validRequest returns a valid request in protobuf.
func validRequest(s otlp.Signal) []byte {
	const at = 1_700_000_000_000_000_000
	res := &resourcepb.Resource{Attributes: []*commonpb.KeyValue{{
		Key: "service.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "checkout"}},
	}}}
	span := &tracepb.Span{TraceId: bytes.Repeat([]byte{7}, 16), SpanId: bytes.Repeat([]byte{9}, 8), Name: "GET /", StartTimeUnixNano: at}
	metric := &metricspb.Metric{Name: "queue", Data: &metricspb.Metric_Gauge{Gauge: &metricspb.Gauge{
		DataPoints: []*metricspb.NumberDataPoint{{TimeUnixNano: at, Value: &metricspb.NumberDataPoint_AsInt{AsInt: 7}}}}}}
	record := &logspb.LogRecord{TimeUnixNano: at, SeverityText: "INFO"}
	profile := &profilespb.Profile{Samples: []*profilespb.Sample{{StackIndex: 1, TimestampsUnixNano: []uint64{at}}}}
	return mustMarshal(map[otlp.Signal]proto.Message{
		otlp.Traces: &coltraces.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{
			{Resource: res, ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{span}}}}}},
		otlp.Metrics: &colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{
			{Resource: res, ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{metric}}}}}},
		otlp.Logs: &collogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{
			{Resource: res, ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{record}}}}}},
		otlp.Profiles: &colprofiles.ExportProfilesServiceRequest{
			ResourceProfiles: []*profilespb.ResourceProfiles{
				{Resource: res, ScopeProfiles: []*profilespb.ScopeProfiles{{Profiles: []*profilespb.Profile{profile}}}}},
			Dictionary: &profilespb.ProfilesDictionary{StringTable: []string{"", "main"}, StackTable: []*profilespb.Stack{{}, {}}}},
	}[s])
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic("badinput: marshal a valid request: " + err.Error())
	}
	return b
}
