package otlpclient

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
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

// A request that is given up while another sender compresses its batch may be sent again,
// whatever the cause.
func TestGivenUpWhileItIsCompressed(t *testing.T) {
	c, err := NewHTTP(config.HTTPClient{Endpoint: "http://127.0.0.1:9", Compression: config.Gzip}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := testkit.PooledBatch(t, otlp.Logs, logsOf(3000), nil)
	defer b.Release()
	begun, end, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = b.EncodeOnce(t.Context(), pipeline.EncodeKey{Codec: pipeline.CodecGzip}, func(context.Context, *pipeline.Buffer) error {
			close(begun)
			<-end
			return errors.New("not compressed")
		})
	}()
	<-begun
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("the sender was stopped")
	cancel(stopped)
	_, err = SendBatch(ctx, c, b)
	if e := pipeline.Classify(err); !errors.Is(err, stopped) || e.Kind != pipeline.Retryable {
		t.Errorf("got %v, %v", e.Kind, err)
	}
	close(end)
	<-ended
}
