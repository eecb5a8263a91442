package otlpreceiver

import (
	"net/http"
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// A request in JSON in which nothing is known is answered with a warning that says what
// was sent, is counted, and is logged once for each client.
func TestJSONInWhichNothingIsKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal     otlp.Signal
		text, want string // want is empty: no warning
	}{
		"of another signal":      {otlp.Logs, jsonRequests[otlp.Traces], `"resourceSpans" is not known: it is one of traces, which are sent to /v1/traces`},
		"in its other name":      {otlp.Traces, `{"resource_metrics":[{}]}`, "sent to /v1/metrics"},
		"misspelt":               {otlp.Logs, strings.Replace(jsonRequests[otlp.Logs], "resourceLogs", "resourceLog", 1), `did you mean \"resourceLogs\"?`},
		"misspelt inside":        {otlp.Logs, strings.Replace(jsonRequests[otlp.Logs], "scopeLogs", "scopeLog", 1), `did you mean \"scopeLogs\"?`},
		"empty":                  {otlp.Logs, `{}`, ""},
		"without items":          {otlp.Logs, `{"resourceLogs":[]}`, ""},
		"with an unknown field":  {otlp.Logs, strings.Replace(jsonRequests[otlp.Logs], `{`, `{"x":1,`, 1), ""},
		"of the signal, a field": {otlp.Metrics, jsonRequests[otlp.Metrics], ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, testConfig())
			const times = 3
			for range times {
				a := r.sendJSON(tt.signal, "", tt.text)
				body := string(a.body)
				warned := strings.Contains(body, "errorMessage")
				if !a.ok() || warned != (tt.want != "") || !strings.Contains(body, tt.want) && !strings.Contains(strings.ReplaceAll(body, `\"`, `"`), tt.want) {
					t.Errorf("%d %s, want %q", a.http, body, tt.want)
				}
			}
			logged := len(r.logs.Lines("accepted a request without items"))
			counted := r.metric("otelcol_receiver_unrecognized_requests")
			if tt.want == "" && (logged != 0 || counted != 0) || tt.want != "" && (logged != 1 || counted != times) {
				t.Errorf("%d lines are logged, %d requests counted", logged, counted)
			}
		})
	}
}

// A request of another signal that is not valid as one of the signal of the path is
// refused with the name of the other signal.
func TestRequestOfAnotherSignal(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	for _, transport := range testTransports {
		for _, tt := range []struct{ sent, as otlp.Signal }{
			{otlp.Metrics, otlp.Traces}, {otlp.Logs, otlp.Traces}, {otlp.Traces, otlp.Logs}, {otlp.Traces, otlp.Metrics},
		} {
			a := transport.send(r, tt.as, "", request(tt.sent, 3))
			want := "the body is a valid request of " + tt.sent.String() + ", not of " + tt.as.String()
			if a.ok() || !strings.Contains(a.status.GetMessage(), want) {
				t.Errorf("%s of %s as %s: %v, want %q", transport.name, tt.sent, tt.as, a.status, want)
			}
		}
	}
}

// Identifiers of a wrong length are refused with their place.
func TestIdentifiersOfAWrongLength(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	a := r.sendJSON(otlp.Traces, "", `{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"010203"}]}]}]}`)
	const want = "resourceSpans[0].scopeSpans[0].spans[0].traceId: identifier of 3 bytes, expected 16 or none"
	if a.http != 400 || !strings.Contains(a.status.GetMessage(), want) {
		t.Errorf("%d %v, want %q", a.http, a.status, want)
	}
}

// Paths with empty elements are served, and the answer to an unknown path names those
// that are.
func TestPaths(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	header := http.Header{"Content-Type": {"application/x-protobuf"}}
	for path, want := range map[string]int{
		"//v1/traces": 200, "/v1//traces": 200, "///v1///traces": 200, "/./v1/traces": 200, "/v1/x/../traces": 200,
		"/v1/traces/": 404, "/v1//traces/": 404, "/v1/trace": 404, "//": 404,
	} {
		a := r.request(http.MethodPost, path, header, request(otlp.Traces, 1))
		if a.http != want {
			t.Errorf("%s: %d %v", path, a.http, a.status)
		}
		if want == 404 && !strings.Contains(a.status.GetMessage(), "only at /v1/logs, /v1/metrics, /v1/profiles, /v1/traces, /v1development/profiles") {
			t.Errorf("%s: %s", path, a.status.GetMessage())
		}
	}
}

// A body under a wrong name is refused with a guess what it is.
func TestMislabelledBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	wire, text := request(otlp.Traces, 2), []byte(jsonRequests[otlp.Traces])
	const protobuf, json = "application/x-protobuf", "application/json"
	for name, tt := range map[string]struct {
		media, want string
		body        []byte
	}{
		"JSON as protobuf":     {protobuf, "seems to be JSON: send it with Content-Type: application/json", text},
		"spaced JSON":          {protobuf, "seems to be JSON", append([]byte("\n "), text...)},
		"protobuf as JSON":     {json, "seems to be protobuf: send it with Content-Type: application/x-protobuf", wire},
		"gzip":                 {protobuf, "Content-Encoding: gzip", compressed("gzip", wire)},
		"zstd of JSON":         {json, "Content-Encoding: zstd", compressed("zstd", text)},
		"gRPC":                 {protobuf, "prefix of a gRPC message", frame(0, len(wire), wire)},
		"neither":              {json, "expected an object", []byte("nonsense")},
		"neither, as protobuf": {protobuf, "byte 0", []byte("nonsense")},
	} {
		a := r.request(http.MethodPost, "/v1/traces", http.Header{"Content-Type": {tt.media}}, tt.body)
		message := a.status.GetMessage()
		if a.http != 400 || !strings.Contains(message, tt.want) || strings.HasPrefix(name, "neither") && strings.Contains(message, "seems") {
			t.Errorf("%s: %d %s, want %q", name, a.http, message, tt.want)
		}
	}
}

// Parameters of a media type do not matter, also if they are malformed.
func TestMediaTypeParameters(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	for media, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "application/json; utf-8": 200, "application/json;": 200,
		`application/json; charset="utf-8`: 200, "application/json ;charset=utf-8;charset=x": 200, "Application/JSON": 200,
		"application/jsonl": 415, "json": 415, "": 415, ";application/json": 415,
	} {
		header := http.Header{}
		if media != "" {
			header.Set("Content-Type", media)
		}
		if a := r.request(http.MethodPost, "/v1/traces", header, []byte(jsonRequests[otlp.Traces])); a.http != want {
			t.Errorf("%q: %d %v, want %d", media, a.http, a.status, want)
		}
	}
}
