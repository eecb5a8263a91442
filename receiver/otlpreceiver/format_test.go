package otlpreceiver

import (
	"strings"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// The room for a request in JSON is what requests of its signal needed, and never more
// than the text.
func TestRoomForJSON(t *testing.T) {
	t.Parallel()
	j := &jsonReader{}
	const n = 1 << 20
	if room := j.room(otlp.Traces, n); room < n/2 || room > n/2+64 {
		t.Errorf("%d bytes at first", room)
	}
	j.learn(otlp.Traces, n, 6*n/10)
	if room := j.room(otlp.Traces, n); room < 6*n/10 || room > 7*n/10 {
		t.Errorf("%d bytes after a request of %d", room, 6*n/10)
	}
	if room := j.room(otlp.Logs, n); room > n/2+64 {
		t.Errorf("%d bytes for another signal", room)
	}
	j.learn(otlp.Traces, n, 8*n)
	if room := j.room(otlp.Traces, n); room > n+64 {
		t.Errorf("%d bytes after a request that grew", room)
	}
	for range 200 {
		j.learn(otlp.Traces, n, n/4)
	}
	if room := j.room(otlp.Traces, n); room > n/2+64 {
		t.Errorf("%d bytes after many small requests", room)
	}
}

// Requests that are nearly as large in protobuf as in JSON are decoded twice the first
// time only.
func TestJSONIsDecodedOnce(t *testing.T) {
	t.Parallel()
	record := `{"body":{"stringValue":"` + strings.Repeat("x", 1000) + `"}}`
	text := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + strings.Repeat(record+",", 1300) + record + `]}]}]}`
	j := &jsonReader{}
	for n := range 20 {
		body := []byte(text)
		r := &frontend.Request{Route: &frontend.Route{Signal: otlp.Logs}}
		buf, refused := j.toWire(t.Context(), r, &body, 1<<30)
		if refused != nil {
			t.Fatal(refused)
		}
		bufpool.Put(buf)
		if again := j.again.Load(); again > 1 {
			t.Fatalf("request %d: decoded again %d times", n, again)
		}
	}
}
