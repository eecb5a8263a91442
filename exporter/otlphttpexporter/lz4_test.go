package otlphttpexporter

import (
	"bytes"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// What is compressed is appended, and is one frame that servers read back, also
// concurrently.
func TestLZ4(t *testing.T) {
	t.Parallel()
	c := &lz4Compressor{}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 20 {
				plain := bytes.Repeat([]byte("http.request.method GET "), 1+1000*g*i)
				wire, err := c.AppendCompressed([]byte("before"), plain)
				if err != nil || !bytes.HasPrefix(wire, []byte("before")) || len(plain) > 1000 && len(wire) > len(plain)/2 {
					t.Errorf("%d bytes became %d: %v", len(plain), len(wire), err)
					return
				}
				got, err := decompress.DecompressBytes(c.Encoding(), nil, wire[6:], len(plain), nil)
				if err != nil || !bytes.Equal(*got, plain) {
					t.Errorf("%d bytes: %v", len(plain), err)
				}
				bufpool.Put(got)
			}
		})
	}
	wg.Wait()
}

// The exporter has lz4, which the client leaves to its user.
func TestSendsLZ4(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	cfg := DefaultConfig()
	cfg.Endpoint, cfg.Compression = b.HTTPEndpoint(), "lz4"
	e, err := New(cfg, component.Settings{ID: "otlphttp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown(t.Context())
	body := bytes.Repeat([]byte{0x0a, 0}, 1000) // empty resources
	batch, err := pipeline.NewBatch(otlp.Logs, body, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Release()
	if err := e.Consume(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	call := b.Calls()[0]
	if call.Encoding != "lz4" || !bytes.Equal(call.Bytes, body) {
		t.Errorf("%d bytes arrived, encoding %q", len(call.Bytes), call.Encoding)
	}
}
