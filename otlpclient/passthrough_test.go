package otlpclient

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"google.golang.org/grpc"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// logsOf returns a request with a text of n bytes.
func logsOf(n int) []byte {
	var e otlp.Encoder
	req := otlp.AppendExportLogsServiceRequest(&e)
	rl := req.AddResourceLogs()
	sl := rl.AddScopeLogs()
	l := sl.AddLogRecords()
	b := l.SetBody()
	b.SetBytesValue(text(n))
	b.Close()
	l.Close()
	sl.Close()
	rl.Close()
	req.Close()
	return e.Buf
}

// came returns a batch with a text of n bytes that came as gzip, and what came.
func came(t testing.TB, n int) (*pipeline.Batch, []byte) {
	t.Helper()
	b := testkit.PooledBatch(t, otlp.Logs, logsOf(n), nil)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Comment = "as it came"
	if _, err := w.Write(b.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	buf := pipeline.NewBuffer(z.Len())
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, z.Bytes()...)
	b.AttachEncoded(buf, pipeline.CodecGzip, true)
	return b, z.Bytes()
}

// passing has the default of exporters.
var passing = WithPassthrough(config.DefaultPassthrough())

func passingHTTP(t testing.TB, endpoint string, compression config.Compression, more ...Option) *HTTP {
	t.Helper()
	cfg := config.DefaultHTTPClient()
	cfg.Endpoint, cfg.Compression, cfg.Timeout = endpoint, compression, hangsAfter
	c, err := NewHTTP(cfg, nil, append(more, passing)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func passingGRPC(t testing.TB, endpoint string, more ...Option) *GRPC {
	t.Helper()
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.TLS.Insecure = endpoint, true
	c, err := NewGRPC(cfg, hangsAfter, append(more, passing)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// countingCompressor counts what it compresses.
type countingCompressor struct{ calls atomic.Int64 }

func (*countingCompressor) Encoding() string { return "lz4" }
func (c *countingCompressor) AppendCompressed(dst, src []byte) ([]byte, error) {
	c.calls.Add(1)
	return append(dst, src[:len(src)/2]...), nil
}

// A batch is compressed once for all clients and attempts.
func TestCompressedOnce(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int64
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if arrived.Add(1)%2 == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	z := &countingCompressor{}
	clients := []*HTTP{passingHTTP(t, s.URL, config.LZ4, WithCompressor(z)), passingHTTP(t, s.URL, config.LZ4, WithCompressor(z))}
	for n := range int64(3) {
		b := testkit.PooledBatch(t, otlp.Logs, logsOf(70_000), nil)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for {
					_, err := SendBatch(t.Context(), clients[i%2], b)
					if e := (*Error)(nil); !errors.As(err, &e) || !e.Retryable {
						return
					}
				}
			})
		}
		wg.Wait()
		b.Release()
		if got := z.calls.Load(); got != n+1 {
			t.Fatalf("%d batches were compressed %d times", n+1, got)
		}
	}
	// Other bytes than those of the batch are compressed each time.
	b := testkit.PooledBatch(t, otlp.Logs, logsOf(1000), nil)
	defer b.Release()
	for range 2 {
		r := RequestOf(b)
		r.Bytes = bytes.Clone(r.Bytes)
		_, _ = clients[0].Send(t.Context(), r)
	}
	if got := z.calls.Load(); got != 5 {
		t.Errorf("copies of a batch were compressed %d times, want 2", got-3)
	}
}

// The same bytes may be sent more than once at the same time, by one client or several, and
// each keeps the batch until it does not read them any more, also if it gives up.
func TestSameEncodedBytesAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	web := passingHTTP(t, b.HTTPEndpoint(), config.Gzip)
	rpc := passingGRPC(t, b.GRPCEndpoint())
	for _, n := range []int{100, 3000, 60_000, 2 << 20} {
		batch, _ := came(t, n)
		want := bytes.Clone(batch.Bytes())
		var wg sync.WaitGroup
		for i := range 24 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := []Sender{rpc, web, rpc}[i%3]
			r := RequestOf(batch)
			wg.Go(func() {
				if i%8 == 7 {
					go cancel()
				}
				if _, err := c.Send(ctx, r); err != nil && i%8 != 7 {
					t.Errorf("%d bytes: %v", n, err)
				}
			})
		}
		batch.Release()
		wg.Wait()
		for _, got := range b.Requests(otlp.Logs) {
			if len(got) == len(want) && !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: other bytes arrived", n)
			}
		}
	}
}

// counted is the traffic of requests without answers.
func counted(rpc, wire int) traffic { return traffic{int64(rpc), 0, int64(wire), 0} }

// The sizes of requests that are sent as they came are counted, and named when the
// destination refuses them for their size. A redirect keeps the encoding.
func TestSizesOfEncodedRequests(t *testing.T) {
	t.Parallel()
	batch, wire := came(t, 50_000)
	defer batch.Release()
	sizes := TooLargeError{Sent: len(wire), Uncompressed: len(batch.Bytes())}
	s := startHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.URL.Path == "/v1/logs":
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
		case r.Header.Get("Content-Encoding") != "gzip" || !bytes.Equal(body, wire):
			w.WriteHeader(http.StatusBadRequest)
		default:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	})
	traffic := &Traffic{}
	_, err := SendBatch(t.Context(), passingHTTP(t, s.URL, config.Gzip, WithTraffic(traffic)), batch)
	wantTooLarge(t, "HTTP", err, sizes, "max_request_body_size")
	want := counted(2*sizes.Uncompressed, 2*sizes.Sent) // two exchanges
	if got := traffic.become(want); got != want {
		t.Errorf("counted %v, want %v", got, want)
	}

	d := startGRPC(t, nil, grpc.MaxRecvMsgSize(len(wire)-1))
	traffic = &Traffic{}
	_, err = SendBatch(t.Context(), passingGRPC(t, d.addr, WithTraffic(traffic)), batch)
	sizes.Limit = int64(len(wire) - 1)
	wantTooLarge(t, "gRPC", err, sizes, "max_recv_msg_size_mib")
	want = counted(sizes.Uncompressed, sizes.Sent+frame)
	if got := traffic.become(want); got != want {
		t.Errorf("gRPC: counted %v, want %v", got, want)
	}
}

// Without the option nothing is sent as it came.
func TestPassthroughIsAnOption(t *testing.T) {
	t.Parallel()
	batch, wire := came(t, 5000)
	defer batch.Release()
	s := startHTTP(t, func(_ http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); bytes.Equal(body, wire) {
			t.Error("the bytes were sent as they came")
		}
	})
	c := newHTTP(t, s.URL, func(c *config.HTTPClient, _ Endpoints) { c.Compression = config.Gzip })
	if _, err := SendBatch(t.Context(), c, batch); err != nil {
		t.Error(err)
	}
	if got := NewConsumer(c).Capabilities(); got != (pipeline.Capabilities{}) {
		t.Errorf("capabilities %+v", got)
	}
	if got := NewConsumer(passingHTTP(t, s.URL, config.Zstd)).Capabilities(); got.Codecs != pipeline.CodecsOf(pipeline.CodecZstd) {
		t.Errorf("capabilities %+v", got)
	}
}
