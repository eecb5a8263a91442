package otlpclient

import (
	"runtime"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/otlp"
)

// inGRPC returns a compressed request that gRPC has taken from the pool, and what gRPC has.
func inGRPC(t *testing.T, f *compressed) (*outgoing, *[]byte) {
	t.Helper()
	o, err := f.request(t.Context(), Request{Signal: otlp.Logs, Bytes: make([]byte, 3000)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.handed, f.writing = o, len(o.bytes)
	f.mu.Unlock()
	b := f.Get(len(o.bytes))
	if b != &o.bytes {
		t.Fatal("gRPC got other bytes")
	}
	return o, b
}

// If a connection ends, and with it the lease, gRPC may return the bytes later. They are in
// the pool once: two requests that got the same memory would be mixed.
func TestBytesReturnedAfterTheConnectionEnded(t *testing.T) {
	f, _, err := newCompressed("gzip")
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		o, b := inGRPC(t, f)
		size := cap(*b)
		o.lease.end()
		f.Put(b)
		seen := map[*byte]bool{}
		for range 10 {
			p := bufpool.Get(size)
			first := &(*p)[0]
			if seen[first] {
				t.Fatal("two requests got the same memory")
			}
			seen[first] = true
		}
	}
	if n := len(f.inGRPC); n != 0 {
		t.Errorf("%d requests are still noted", n)
	}
}

// What gRPC never returns is forgotten.
func TestBytesThatAreNeverReturned(t *testing.T) {
	f, _, err := newCompressed("gzip")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		o, _ := inGRPC(t, f)
		o.lease.end()
	}
	noted := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.inGRPC)
	}
	for i := 0; noted() > 0; i++ {
		if i == 1000 {
			t.Fatalf("%d requests are still noted", noted())
		}
		runtime.GC()
		runtime.Gosched()
	}
}
