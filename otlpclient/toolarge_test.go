package otlpclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// wantTooLarge checks that err says the sizes and what to do, and is permanent.
func wantTooLarge(t *testing.T, what string, err error, want TooLargeError, key string) {
	t.Helper()
	e := asError(t, err)
	var found *TooLargeError
	if !errors.As(err, &found) || e.Retryable || e.Throttled || pipeline.Classify(err).Kind != pipeline.Permanent {
		t.Errorf("%s: not a permanent refusal for the size: %+v, %v", what, e, err)
		return
	}
	if found.Sent != want.Sent || found.Uncompressed != want.Uncompressed || found.Limit != want.Limit {
		t.Errorf("%s: found %d, %d and limit %d, want %d, %d, %d", what, found.Sent, found.Uncompressed, found.Limit, want.Sent, want.Uncompressed, want.Limit)
	}
	parts := []string{fmt.Sprintf("the request has %d bytes", want.Uncompressed), "is not sent again", key, "smaller requests", found.Err.Error()}
	if want.Sent != want.Uncompressed {
		parts = append(parts, fmt.Sprintf("(%d compressed)", want.Sent))
	}
	if want.Limit > 0 {
		parts = append(parts, fmt.Sprintf("accepts at most %d", want.Limit))
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%s: no %q in %v", what, part, err)
		}
	}
}

// gRPC's own server says its limit. The request may be too large as it is sent, or
// decompressed.
func TestGRPCTooLarge(t *testing.T) {
	t.Parallel()
	const limit = 1000
	d := startGRPC(t, nil, grpc.MaxRecvMsgSize(limit))
	_, err := send(t, newGRPC(t, d.addr, nil), otlp.Logs, text(limit+1))
	wantTooLarge(t, "plain", err, TooLargeError{Sent: limit + 1, Uncompressed: limit + 1, Limit: limit}, "max_recv_msg_size_mib")
	if _, err := send(t, newGRPC(t, d.addr, nil), otlp.Logs, text(limit)); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	zipped := newGRPC(t, d.addr, func(c *config.GRPCClient) { c.Compression = config.Gzip })
	_, err = send(t, zipped, otlp.Logs, make([]byte, 20_000))
	var found *TooLargeError
	if !errors.As(err, &found) || found.Sent >= limit {
		t.Fatalf("%v", err)
	}
	wantTooLarge(t, "decompressed", err, TooLargeError{Sent: found.Sent, Uncompressed: 20_000, Limit: limit}, "max_recv_msg_size_mib")
}

// What servers in other languages say, also with a wish for a retry.
func TestGRPCTooLargeTexts(t *testing.T) {
	t.Parallel()
	const size, limit = 5000, 4000
	for name, c := range map[string]struct {
		code  codes.Code
		text  string
		limit int64 // -1: it is about something else
	}{
		"C++":                    {codes.ResourceExhausted, "SERVER: Received message larger than max (5000 vs. 4000)", limit},
		"Java":                   {codes.ResourceExhausted, "gRPC message exceeds maximum size 4000: 5000", limit},
		"Java, decompressed":     {codes.ResourceExhausted, "Decompressed gRPC message exceeds maximum size 4000", limit},
		"Rust":                   {codes.OutOfRange, "Error, decoded message length too large: found 5000 bytes, the limit is: 4000 bytes", limit},
		".NET":                   {codes.ResourceExhausted, "Received message exceeds the maximum configured message size.", 0},
		"penstock":               {codes.ResourceExhausted, "the request is larger than the limit of 4000 bytes", limit},
		"a proxy":                {codes.Unknown, "unexpected HTTP status code received from server: 413 (Request Entity Too Large)", 0},
		"another size":           {codes.ResourceExhausted, "received message larger than max (4001 vs. 4000)", -1},
		"a limit that it is in":  {codes.ResourceExhausted, "received message after decompression larger than max 9000", -1},
		"another code":           {codes.Unavailable, "received message larger than max (5000 vs. 4000)", -1},
		"a number out of bounds": {codes.ResourceExhausted, "larger than max 99999999999999999999", -1},
		"a quota":                {codes.ResourceExhausted, "quota of the tenant", -1},
	} {
		d := startGRPC(t, func(context.Context) ([]byte, error) {
			st, _ := status.New(c.code, c.text).WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
			return nil, st.Err()
		})
		_, err := send(t, newGRPC(t, d.addr, nil), otlp.Logs, text(size))
		if c.limit >= 0 {
			wantTooLarge(t, name, err, TooLargeError{Sent: size, Uncompressed: size, Limit: c.limit}, "max_recv_msg_size_mib")
			continue
		}
		var found *TooLargeError
		if e := asError(t, err); errors.As(err, &found) || !e.Retryable {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// Over HTTP the status says it, or the text of Go's server, as the Collector has it.
func TestHTTPTooLarge(t *testing.T) {
	t.Parallel()
	const size = 5000
	for name, c := range map[string]struct {
		status int
		text   string
		limit  int64
		other  bool
	}{
		"413":           {http.StatusRequestEntityTooLarge, "", 0, false},
		"penstock":      {http.StatusRequestEntityTooLarge, "the request is larger than the limit of 4000 bytes", 4000, false},
		"Collector":     {http.StatusBadRequest, "http: request body too large", 0, false},
		"another fault": {http.StatusBadRequest, "not OTLP", 0, true},
		"a busy server": {http.StatusServiceUnavailable, "http: request body too large", 0, true},
	} {
		s := startHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.text))
		})
		for _, compression := range []config.Compression{config.NoCompression, config.Gzip} {
			sender := newHTTP(t, s.URL, func(h *config.HTTPClient, _ Endpoints) { h.Compression = compression })
			_, err := send(t, sender, otlp.Logs, make([]byte, size))
			var found *TooLargeError
			if isIt := errors.As(err, &found); isIt == c.other {
				t.Errorf("%s: %v", name, err)
				continue
			} else if !isIt {
				continue
			}
			if compressed := found.Sent < size; compressed != (compression == config.Gzip) {
				t.Errorf("%s, %s: %d bytes were sent", name, compression, found.Sent)
			}
			wantTooLarge(t, name, err, TooLargeError{Sent: found.Sent, Uncompressed: size, Limit: c.limit}, "max_request_body_size")
		}
	}
}
