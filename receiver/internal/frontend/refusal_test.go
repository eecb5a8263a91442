package frontend

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/pipeline"
	"google.golang.org/grpc/codes"
)

func TestClip(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "short", strings.Repeat("a", maxMessageBytes), strings.Repeat("a", maxMessageBytes+1),
		strings.Repeat("a", maxMessageBytes-4) + "жжж", strings.Repeat("\xff", 2000), strings.Repeat("😀", 1000), "\xe2\x82"} {
		got := clip(s)
		if len(got) > maxMessageBytes || !utf8.ValidString(got) {
			t.Errorf("clip of %d bytes: %d bytes, valid %v", len(s), len(got), utf8.ValidString(got))
		}
		if len(s) <= maxMessageBytes && utf8.ValidString(s) && got != s {
			t.Errorf("clip changed %d good bytes", len(s))
		}
		if len(s) > maxMessageBytes && utf8.ValidString(s) && !strings.HasPrefix(s, strings.TrimSuffix(got, "…")) {
			t.Errorf("clip of %q… cut a rune", s[:10])
		}
	}
}

// No code that a sender gives up on may go out as an HTTP status that it would
// retry, and the other way round (OTLP specification, both tables).
func TestHTTPStatusKeepsRetryability(t *testing.T) {
	t.Parallel()
	retryable := map[int]bool{429: true, 502: true, 503: true, 504: true}
	for c := codes.Canceled; c <= codes.Unauthenticated; c++ {
		status := refusalFor(&pipeline.Error{Kind: pipeline.Permanent, Code: uint32(c)}, "").HTTPStatus()
		if retryable[status] || status < 400 {
			t.Errorf("permanent with %s is HTTP %d", c, status)
		}
	}
	for _, k := range []pipeline.Kind{pipeline.Retryable, pipeline.Overloaded} {
		if status := refusalFor(&pipeline.Error{Kind: k}, "").HTTPStatus(); status != http.StatusServiceUnavailable {
			t.Errorf("%s is HTTP %d", k, status)
		}
	}
}
