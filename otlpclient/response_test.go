package otlpclient

import (
	"errors"
	"math"
	"math/big"
	"net/http"
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

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
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
func TestSettleReadsEverySignal(t *testing.T) {
	t.Parallel()
	want := Answer{Rejected: 7, Message: "too old"}
	for _, m := range []proto.Message{
		&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: 7, ErrorMessage: "too old"}},
		&colmetrics.ExportMetricsServiceResponse{PartialSuccess: &colmetrics.ExportMetricsPartialSuccess{RejectedDataPoints: 7, ErrorMessage: "too old"}},
		&collogs.ExportLogsServiceResponse{PartialSuccess: &collogs.ExportLogsPartialSuccess{RejectedLogRecords: 7, ErrorMessage: "too old"}},
		&colprofiles.ExportProfilesServiceResponse{PartialSuccess: &colprofiles.ExportProfilesPartialSuccess{RejectedProfiles: 7, ErrorMessage: "too old"}},
	} {
		if got := settle(marshal(t, m)); got != want {
			t.Errorf("%T: got %+v, want %+v", m, got, want)
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
		"truncated":         {partial(t, 1, "x")[:4], Answer{}, "the answer is not an OTLP response"},
		"text":              {[]byte("ok, thank you"), Answer{}, "the answer is not an OTLP response"},
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

// Answers are read as the official decoder reads them.
func FuzzDecodeResponse(f *testing.F) {
	f.Add(partial(f, 7, "too old"))
	f.Add(partial(f, -1, "ä"))
	f.Add(append(partial(f, 2, ""), 0x0b, 0x0c))
	f.Add([]byte{0x0a, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		rejected, words, err := otlp.ParsePartialSuccess(b)
		if errors.Is(err, wire.ErrDepth) {
			return // groups in groups, which the official decoder follows further
		}
		var want coltrace.ExportTraceServiceResponse
		wantErr := proto.Unmarshal(b, &want)
		if wantErr != nil && strings.Contains(wantErr.Error(), "UTF-8") {
			return // a message in another encoding is shown as it is
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, the official decoder says %v", err, wantErr)
		}
		got := settle(b)
		if err != nil {
			if got.Warning == nil || got.Rejected != 0 || got.Message != "" {
				t.Fatalf("got %+v of an answer that cannot be read: %v", got, err)
			}
			return
		}
		p := want.GetPartialSuccess()
		if rejected != p.GetRejectedSpans() || string(words) != p.GetErrorMessage() {
			t.Fatalf("got %d, %q, the official decoder says %v", rejected, words, p)
		}
		if got.Rejected != max(rejected, 0) || got.Message != printable(words) || (got.Warning != nil) != (rejected < 0) {
			t.Fatalf("got %+v of %v", got, p)
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
	for _, s := range []string{"", "soon", "1.5", "0x10", "1s", "99999999999999999999999x", "2026-11-21T12:00:30Z"} {
		if got, ok := parseRetryAfter(s, now); ok {
			t.Errorf("%q: got %s, want no delay", s, got)
		}
	}
}

// A wish is between nothing and an hour, whatever the header says.
func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"13", "-5", "+7", "3601", "99999999999999999999999", "-99999999999999999999999", "99999999999999999999999x", "1_0", "0x10", "soon",
		"Sat, 21 Nov 2026 12:00:30 GMT", "Saturday, 21-Nov-26 12:00:30 GMT", "Sat Nov 21 12:00:30 2026", "Mon, 01 Jan 0001 00:00:00 GMT"} {
		f.Add(s, int64(1_795_262_400))
		f.Add(" "+s+"\t", int64(1_795_262_401))
	}
	f.Fuzz(func(t *testing.T, s string, unixSeconds int64) {
		unixSeconds %= 1 << 37 // some thousand years
		got, ok := parseRetryAfter(s, time.Unix(unixSeconds, 0))
		if got < 0 || got > time.Hour || !ok && got != 0 {
			t.Fatalf("%q: %s, %t is out of range", s, got, ok)
		}
		want, wantOK := retryAfterOracle(strings.TrimSpace(s), unixSeconds)
		if ok != wantOK || got != want {
			t.Fatalf("%q at %d: got %s, %t, the oracle says %s, %t", s, unixSeconds, got, ok, want, wantOK)
		}
	})
}

// retryAfterOracle counts in numbers without a bound.
func retryAfterOracle(s string, unixSeconds int64) (time.Duration, bool) {
	wait, ok := new(big.Int).SetString(s, 10)
	if !ok {
		date, err := http.ParseTime(s)
		if err != nil {
			return 0, false
		}
		wait = big.NewInt(date.Unix() - unixSeconds)
	}
	switch {
	case wait.Sign() < 0:
		return 0, true
	case wait.Cmp(big.NewInt(3600)) > 0:
		return time.Hour, true
	}
	return time.Duration(wait.Int64()) * time.Second, true
}
