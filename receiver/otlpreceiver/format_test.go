package otlpreceiver

import (
	"runtime"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
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

// Requests in JSON are decoded into memory of the pool, which is large enough the first
// time. The test is not parallel: others would allocate at the same time.
func TestJSONTakesNoNewMemory(t *testing.T) {
	r := newRig(t, testConfig())
	r.sink.CountOnly = true
	text := string(otlp.AppendJSON(nil, otlp.Traces, request(otlp.Traces, 10_000)))
	send := func(times int) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range times {
			if a := r.sendJSON(otlp.Traces, "", text); !a.ok() {
				t.Fatal(a.status)
			}
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / uint64(times)
	}
	send(5)
	if took := send(20); took > uint64(len(text)+len(text)/4) { // the client copies the text
		t.Errorf("%d bytes are allocated for each request of %d", took, len(text))
	}
}
