package otlpclient

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// partial is the answer of a traces destination.
func partial(t testing.TB, rejected int64, message string) []byte {
	t.Helper()
	return marshal(t, &coltrace.ExportTraceServiceResponse{
		PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: rejected, ErrorMessage: message}})
}

// One decoder reads the official answers of all four signals.
func TestDecodeResponse(t *testing.T) {
	t.Parallel()
	want := Answer{Rejected: 7, Message: "too old"}
	for _, m := range []proto.Message{
		&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: 7, ErrorMessage: "too old"}},
		&colmetrics.ExportMetricsServiceResponse{PartialSuccess: &colmetrics.ExportMetricsPartialSuccess{RejectedDataPoints: 7, ErrorMessage: "too old"}},
		&collogs.ExportLogsServiceResponse{PartialSuccess: &collogs.ExportLogsPartialSuccess{RejectedLogRecords: 7, ErrorMessage: "too old"}},
		&colprofiles.ExportProfilesServiceResponse{PartialSuccess: &colprofiles.ExportProfilesPartialSuccess{RejectedProfiles: 7, ErrorMessage: "too old"}},
	} {
		if got, err := decodeResponse(marshal(t, m)); err != nil || got != want {
			t.Errorf("%T: got %+v, %v, want %+v", m, got, err, want)
		}
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body []byte
		want Answer
		warn string
	}{
		"empty":             {nil, Answer{}, ""},
		"set and empty":     {[]byte{0x0a, 0}, Answer{}, ""},
		"a warning":         {partial(t, 0, "deprecated"), Answer{Message: "deprecated"}, ""},
		"rejected":          {partial(t, math.MaxInt64, ""), Answer{Rejected: math.MaxInt64}, ""},
		"negative":          {partial(t, -1, "x"), Answer{Message: "x"}, "negative number"},
		"truncated":         {partial(t, 1, "x")[:4], Answer{}, "no OTLP response"},
		"text":              {[]byte("ok, thank you"), Answer{}, "no OTLP response"},
		"unknown field":     {append([]byte{0x78, 1}, partial(t, 2, "y")...), Answer{Rejected: 2, Message: "y"}, ""},
		"split in two":      {append(partial(t, 2, ""), partial(t, 0, "y")...), Answer{Rejected: 2, Message: "y"}, ""},
		"hostile message":   {partial(t, 1, "a\nb\x1b[31m\u2028"), Answer{Rejected: 1, Message: "a b [31m "}, ""},
		"endless message":   {partial(t, 1, strings.Repeat("x", 1<<20)), Answer{Rejected: 1, Message: strings.Repeat("x", 1<<10)}, ""},
		"wire type differs": {[]byte{0x08, 1}, Answer{}, ""},
	} {
		got := settle(c.body)
		if c.warn == "" != (got.Warning == nil) || c.warn != "" && !strings.Contains(got.Warning.Error(), c.warn) {
			t.Errorf("%s: warning %v, want %q", name, got.Warning, c.warn)
		}
		got.Warning = nil
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzDecodeResponse(f *testing.F) {
	f.Add(partial(f, 7, "too old"))
	f.Add(partial(f, -1, "ä"))
	f.Add(append(partial(f, 2, ""), 0x0b, 0x0c))
	f.Add([]byte{0x0a, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decodeResponse(b)
		var want coltrace.ExportTraceServiceResponse
		wantErr := proto.Unmarshal(b, &want)
		if wantErr != nil && strings.Contains(wantErr.Error(), "UTF-8") {
			return // a message in another encoding is shown as it is
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, the official decoder says %v", err, wantErr)
		}
		if err != nil {
			return
		}
		if p := want.GetPartialSuccess(); got.Rejected != p.GetRejectedSpans() || got.Message != printable([]byte(p.GetErrorMessage())) {
			t.Fatalf("got %+v, the official decoder says %v", got, p)
		}
		if !utf8.ValidString(got.Message) || len(got.Message) > 4*maxMessageBytes {
			t.Fatalf("message %q is not fit for a log", got.Message)
		}
		message, err := decodeStatus(b)
		var st status.Status
		if proto.Unmarshal(b, &st) == nil && (err != nil || message != printable([]byte(st.GetMessage()))) {
			t.Fatalf("status: got %q, %v, the official decoder says %q", message, err, st.GetMessage())
		}
	})
}

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]time.Duration{
		"0": 0, "13": 13 * time.Second, " 13 ": 13 * time.Second, "-5": 0, "3600": time.Hour, "3601": time.Hour,
		"1000000000": time.Hour, "99999999999999999999999": time.Hour, "-99999999999999999999999": 0,
		"Sat, 21 Nov 2026 12:00:30 GMT":    30 * time.Second,
		"Saturday, 21-Nov-26 12:00:30 GMT": 30 * time.Second,
		"Sat Nov 21 12:00:30 2026":         30 * time.Second,
		"Sat, 21 Nov 2026 11:00:00 GMT":    0,
		"Sat, 21 Nov 2099 11:00:00 GMT":    time.Hour,
	} {
		if got, ok := parseRetryAfter(s, now); !ok || got != want {
			t.Errorf("%q: got %s, %t, want %s", s, got, ok, want)
		}
	}
	for _, s := range []string{"", "soon", "1.5", "0x10", "1s", "2026-11-21T12:00:30Z"} {
		if got, ok := parseRetryAfter(s, now); ok {
			t.Errorf("%q: got %s, want no wish", s, got)
		}
	}
}
