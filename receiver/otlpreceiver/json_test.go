package otlpreceiver

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

const jsonType = "application/json"

// sendJSON posts text as it is but for the encoding.
func (r *rig) sendJSON(s otlp.Signal, encoding, text string) answer {
	header := http.Header{"Content-Type": {jsonType}}
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	}
	return r.request(http.MethodPost, s.Spec().Path, header, compressed(encoding, []byte(text)))
}

// jsonRequests are message(s, 2) as the OTLP specification has it in JSON, by hand.
var jsonRequests = map[otlp.Signal]string{
	otlp.Traces: `{"resourceSpans":[{"resource":` + jsonResource + `,"scopeSpans":[{"spans":[
		{"traceId":"07070707070707070707070707070707","spanId":"0909090909090909","name":"GET /","startTimeUnixNano":"1700000000000000000"},
		{"traceId":"07070707070707070707070707070707","spanId":"0909090909090909","name":"GET /","startTimeUnixNano":1700000000000000001}]}]}]}`,
	otlp.Metrics: `{"resourceMetrics":[{"resource":` + jsonResource + `,"scopeMetrics":[{"metrics":[{"name":"queue","gauge":{"dataPoints":[
		{"timeUnixNano":"1700000000000000000","asInt":"0"},{"timeUnixNano":"1700000000000000001","asInt":1}]}}]}]}]}`,
	otlp.Logs: `{"resourceLogs":[{"resource":` + jsonResource + `,"scopeLogs":[{"logRecords":[
		{"timeUnixNano":"1700000000000000000","severityText":"INFO"},{"timeUnixNano":"1700000000000000001","severityText":"INFO"}]}]}]}`,
	otlp.Profiles: `{"resourceProfiles":[{"resource":` + jsonResource + `,"scopeProfiles":[{"profiles":[{"samples":[
		{"stackIndex":1,"timestampsUnixNano":["1700000000000000000"]},{"stackIndex":1,"timestampsUnixNano":["1700000000000000001"]}]}]}]}],
		"dictionary":{"stringTable":["","main"],"stackTable":[{},{}]}}`,
}

const jsonResource = `{"attributes":[{"key":"service.name","value":{"stringValue":"checkout"}}]}`

// emptyRequest returns a message of the official module to read a request into.
func emptyRequest(s otlp.Signal) proto.Message {
	return map[otlp.Signal]proto.Message{
		otlp.Traces: &coltraces.ExportTraceServiceRequest{}, otlp.Metrics: &colmetrics.ExportMetricsServiceRequest{},
		otlp.Logs: &collogs.ExportLogsServiceRequest{}, otlp.Profiles: &colprofiles.ExportProfilesServiceRequest{},
	}[s]
}

// A request in JSON arrives as the bytes that it has in protobuf.
func TestJSON(t *testing.T) {
	t.Parallel()
	variants := []struct{ name, contentType, encoding string }{
		{"plain", "application/json", ""},
		{"charset", "application/json; charset=utf-8", ""},
		{"upper case", "APPLICATION/JSON", ""},
		{"gzip", "application/json", "gzip"},
		{"zstd", "application/json", "zstd"},
	}
	for _, s := range otlp.Signals() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
			many := marshal(message(s, 20_000))
			for _, v := range variants {
				for text, want := range map[string][]byte{
					jsonRequests[s]: marshal(message(s, 2)), string(otlp.AppendJSON(nil, s, many)): many,
				} {
					header := http.Header{"Content-Type": {v.contentType}}
					if v.encoding != "" {
						header.Set("Content-Encoding", v.encoding)
					}
					a := r.request(http.MethodPost, s.Spec().Path, header, compressed(v.encoding, []byte(text)))
					if !a.ok() || string(a.body) != "{}" || a.header.Get("Content-Type") != jsonType {
						t.Fatalf("%s: %d %q %v, want 200 {} in JSON", v.name, a.http, a.body, a.status)
					}
					seen := r.sink.All()
					got := seen[len(seen)-1]
					if !bytes.Equal(got.Bytes, want) || got.Signal != s {
						t.Errorf("%s: the consumer saw %d bytes that are not the %d of protobuf", v.name, len(got.Bytes), len(want))
					}
					m := emptyRequest(s)
					if err := proto.Unmarshal(got.Bytes, m); err != nil || len(text) < 5000 && !proto.Equal(m, message(s, 2)) {
						t.Errorf("%s: the consumer saw %v, %v", v.name, m, err)
					}
					if got.Client.Format != "json" || got.Client.Transport != "http" {
						t.Errorf("%s: client %+v", v.name, got.Client)
					}
				}
			}
			n := int64(len(variants) * 20_002)
			if got := r.countsOf(s, "http", "json"); got != [3]int64{n, 0, 0} {
				t.Errorf("counted %v, want %d accepted in JSON", got, n)
			}
			if got := r.counts(s, "http"); got != [3]int64{-1, -1, -1} {
				t.Errorf("counted %v in protobuf", got)
			}
		})
	}
}

// What a consumer says comes back in JSON as it does in protobuf.
func TestJSONAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range consumerAnswers {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testConfig())
			r.sink.Respond(func(context.Context, *pipeline.Batch) error {
				if tt.panics {
					panic("secret")
				}
				return tt.err
			})
			for _, s := range otlp.Signals() {
				a := r.sendJSON(s, "", string(otlp.AppendJSON(nil, s, marshal(message(s, 10)))))
				if a.http != tt.http || a.header.Get("Content-Type") != jsonType {
					t.Errorf("%s: %d %s, want %d", s, a.http, a.header.Get("Content-Type"), tt.http)
				}
				if a.retryAfter != tt.retryAfter || !a.ok() && retryDelay(a.status) != tt.retry {
					t.Errorf("%s: Retry-After %q, RetryInfo %v", s, a.retryAfter, retryDelay(a.status))
				}
				if tt.code != codes.OK {
					if codes.Code(a.status.GetCode()) != tt.code || a.status.GetMessage() != tt.text {
						t.Errorf("%s: %v, want %s %q", s, a.status, tt.code, tt.text)
					}
					continue
				}
				// The four responses differ in the name of the count.
				var resp struct {
					PartialSuccess map[string]any `json:"partialSuccess"`
				}
				if err := json.Unmarshal(a.body, &resp); err != nil {
					t.Fatalf("%s: %q: %v", s, a.body, err)
				}
				text, _ := resp.PartialSuccess["errorMessage"].(string)
				if text != tt.text {
					t.Errorf("%s: %s, want the message %q", s, a.body, tt.text)
				}
				var wire []byte
				if tt.text != "" {
					wire = otlp.AppendPartialSuccess(nil, tt.rejected, tt.text)
				}
				want, got := emptyResponse(s), emptyResponse(s)
				if err := proto.Unmarshal(wire, want); err != nil {
					t.Fatal(err)
				}
				if err := protojson.Unmarshal(a.body, got); err != nil || !proto.Equal(got, want) {
					t.Errorf("%s: %s, want %v, %v", s, a.body, want, err)
				}
			}
		})
	}
}

func emptyResponse(s otlp.Signal) proto.Message {
	return map[otlp.Signal]proto.Message{
		otlp.Traces: &coltraces.ExportTraceServiceResponse{}, otlp.Metrics: &colmetrics.ExportMetricsServiceResponse{},
		otlp.Logs: &collogs.ExportLogsServiceResponse{}, otlp.Profiles: &colprofiles.ExportProfilesServiceResponse{},
	}[s]
}

func TestBadJSON(t *testing.T) {
	t.Parallel()
	r := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: 64 << 20})})
	for _, tt := range []struct {
		name, text, field string
		signal            otlp.Signal
	}{
		{"nothing", "", "", otlp.Traces},
		{"a number", "1234", "", otlp.Logs},
		{"a list", "[]", "", otlp.Metrics},
		{"cut off", `{"resourceSpans":[{`, "resourceSpans[0]", otlp.Traces},
		{"a bad id", `{"resourceSpans":[{"scopeSpans":[{},{"spans":[{"traceId":"zz"}]}]}]}`, "resourceSpans[0].scopeSpans[1].spans[0].traceId", otlp.Traces},
		{"a bad number", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"soon"}]}]}]}`, "resourceLogs[0].scopeLogs[0].logRecords[0].timeUnixNano", otlp.Logs},
		{"garbage behind it", `{"resourceMetrics":[]} x`, "", otlp.Metrics},
		{"an index out of range", `{"resourceProfiles":[{"scopeProfiles":[{"profiles":[{"samples":[{"stackIndex":9}]}]}]}],"dictionary":{"stackTable":[{}]}}`, "*", otlp.Profiles},
		{"deep nesting", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":` + strings.Repeat(`{"arrayValue":{"values":[`, 10_000), "*", otlp.Logs},
	} {
		for _, encoding := range []string{"", "gzip"} {
			a := r.sendJSON(tt.signal, encoding, tt.text)
			violation := badRequest(a.status)
			if a.http != http.StatusBadRequest || codes.Code(a.status.GetCode()) != codes.InvalidArgument || a.header.Get("Content-Type") != jsonType || violation == nil {
				t.Errorf("%s %s: %d %v, want 400 in JSON with a BadRequest", tt.name, encoding, a.http, a.status)
				continue
			}
			if violation.GetDescription() == "" || violation.GetField() != tt.field && (tt.field != "*" || violation.GetField() == "") {
				t.Errorf("%s %s: %v, want field %q", tt.name, encoding, violation, tt.field)
			}
		}
	}
	if n := r.sink.Calls(); n != 0 {
		t.Errorf("the consumer saw %d of them", n)
	}
	if n := r.metric("otelcol_receiver_refused_requests", "reason=decode", "format=json"); n != 18 {
		t.Errorf("%d requests were counted as undecodable, want 18", n)
	}
}

// growing is a request of n doubles of one digit: two bytes of text each, eight
// on the wire.
func growing(n int) string {
	return `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"dataPoints":[{"explicitBounds":[1` +
		strings.Repeat(",2", n-1) + `]}]}}]}]}]}`
}

// A list of numbers is longer on the wire than in its text. Room for it is taken
// from the budget before it is used.
func TestJSONThatGrows(t *testing.T) {
	t.Parallel()
	budget := admission.New(admission.Config{Bytes: 8 << 20})
	r := newRigWith(t, testConfig(), setup{budget: budget})
	const n = 60_000
	text := growing(n)
	for _, encoding := range []string{"", "gzip"} {
		if a := r.sendJSON(otlp.Metrics, encoding, text); !a.ok() {
			t.Fatal(a.status)
		}
	}
	for _, b := range r.sink.All() {
		var m colmetrics.ExportMetricsServiceRequest
		if err := proto.Unmarshal(b.Bytes, &m); err != nil {
			t.Fatal(err)
		}
		bounds := m.ResourceMetrics[0].ScopeMetrics[0].Metrics[0].GetHistogram().DataPoints[0].ExplicitBounds
		if len(bounds) != n || bounds[0] != 1 || bounds[n-1] != 2 {
			t.Errorf("%d bounds arrived, want %d", len(bounds), n)
		}
	}
	held := int64(bufpool.Class(len(text)) + bufpool.Class(8*n))
	if peak := budget.Stats().Peak; peak < held {
		t.Errorf("at most %d bytes were taken from the budget, text and wire form have %d", peak, held)
	}
	// Text and first room fit, what they grow to does not.
	tight := newRigWith(t, testConfig(), setup{budget: admission.New(admission.Config{Bytes: 400 << 10})})
	if a := tight.sendJSON(otlp.Metrics, "", text); a.http != http.StatusRequestEntityTooLarge || codes.Code(a.status.Code) != codes.ResourceExhausted {
		t.Errorf("%d %v, want 413", a.http, a.status)
	}
	if peak := tight.budget.Stats().Peak; peak > 400<<10 || peak < int64(bufpool.Class(len(text))) {
		t.Errorf("the tight budget's peak is %d", peak)
	}
}
