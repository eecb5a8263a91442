package otlpclient

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// traffic is the four counts: RPC out and in, wire out and in.
type traffic [4]int64

func (t *Traffic) counts() traffic {
	return traffic{t.RPCOut.Load(), t.RPCIn.Load(), t.WireOut.Load(), t.WireIn.Load()}
}

// become waits for want: net/http may count a request after its response.
func (t *Traffic) become(want traffic) (got traffic) {
	for deadline := time.Now().Add(hangsAfter); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if got = t.counts(); got == want {
			break
		}
		if got[0] > want[0] || got[1] > want[1] || got[2] > want[2] || got[3] > want[3] {
			break // counts only grow
		}
	}
	return got
}

// frame is what gRPC puts in front of each message.
const frame = 5

// compressedByGRPC is how long b is when the compressor for gRPC is done with it.
func compressedByGRPC(t *testing.T, name string, b []byte) int64 {
	t.Helper()
	if name == "" {
		return int64(len(b))
	}
	var out bytes.Buffer
	z, _, err := compress.GRPC(name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Do(&out, b); err != nil {
		t.Fatal(err)
	}
	return int64(out.Len())
}

var trafficSizes = []int{64, 1023, 1024, 1025, 4 << 10, 32<<10 - 1, 32<<10 + 1, 70_000, 1 << 20, 4 << 20}

// What gRPC sends arrives whole, compressed as configured, and is counted to the
// byte, whatever its size.
func TestGRPCTraffic(t *testing.T) {
	t.Parallel()
	for _, compression := range []config.Compression{config.NoCompression, config.Gzip, config.Zstd} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		total := &Traffic{}
		cfg := config.DefaultGRPCClient()
		cfg.Endpoint, cfg.Compression, cfg.TLS.Insecure = b.GRPCEndpoint(), compression, true
		c, err := NewGRPC(cfg, hangsAfter, WithTraffic(total))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var want traffic
		for i, n := range trafficSizes {
			body := text(n)
			answer := testkit.Answer{Rejected: 3, Message: "because"}
			b.Script(answer)
			got, err := send(t, c, otlp.Profiles, body)
			if err != nil || got.Rejected != 3 {
				t.Fatalf("%s, %d bytes: %+v, %v", compression, n, got, err)
			}
			call := b.Calls()[i]
			if !bytes.Equal(call.Bytes, body) || call.Encoding != compression.Encoding() {
				t.Errorf("%s: %d bytes arrived as %d, encoding %q", compression, n, call.Length, call.Encoding)
			}
			wire := compressedByGRPC(t, compression.Encoding(), body)
			if compression != config.NoCompression && n >= 4<<10 && wire >= int64(n) {
				t.Fatalf("%s: %d bytes do not compress: the test shows nothing", compression, n)
			}
			said := otlp.AppendPartialSuccess(nil, 3, "because")
			want[0] += int64(n)
			want[1] += int64(len(said))
			want[2] += wire + frame
			want[3] += compressedByGRPC(t, compression.Encoding(), said) + frame
			if now := total.become(want); now != want {
				t.Errorf("%s: after %d bytes the counts are %d, want %d", compression, n, now, want)
			}
		}
		// A refusal has no message; the request went out all the same.
		b.Script(testkit.Answer{Code: codes.InvalidArgument})
		if _, err := send(t, c, otlp.Traces, text(100)); err == nil {
			t.Fatal("no error")
		}
		want[0] += 100
		want[2] += compressedByGRPC(t, compression.Encoding(), text(100)) + frame
		if now := total.become(want); now != want {
			t.Errorf("%s: after a refusal the counts are %d, want %d", compression, now, want)
		}
	}
}

func TestHTTPTraffic(t *testing.T) {
	t.Parallel()
	for _, compression := range []config.Compression{config.NoCompression, config.Gzip, config.Zstd} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		total := &Traffic{}
		cfg := config.DefaultHTTPClient()
		cfg.Endpoint, cfg.Compression, cfg.Timeout = b.HTTPEndpoint(), compression, hangsAfter
		c, err := NewHTTP(cfg, nil, WithTraffic(total))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var want traffic
		for i, n := range trafficSizes {
			body := text(n)
			b.Script(testkit.Answer{Rejected: 3, Message: "because"})
			if _, err := send(t, c, otlp.Profiles, body); err != nil {
				t.Fatalf("%s, %d bytes: %v", compression, n, err)
			}
			call := b.Calls()[i]
			if !bytes.Equal(call.Bytes, body) || call.Encoding != compression.Encoding() {
				t.Errorf("%s: %d bytes arrived as %d, encoding %q", compression, n, call.Length, call.Encoding)
			}
			wire, err := strconv.ParseInt(call.Header["content-length"][0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			if compression != config.NoCompression && n >= 4<<10 && wire >= int64(n) {
				t.Fatalf("%s: %d bytes do not compress: the test shows nothing", compression, n)
			}
			said := int64(len(otlp.AppendPartialSuccess(nil, 3, "because")))
			want[0] += int64(n)
			want[1] += said
			want[2] += wire
			want[3] += said
			if now := total.become(want); now != want {
				t.Errorf("%s: after %d bytes the counts are %d, want %d", compression, n, now, want)
			}
		}
	}
}

// Nothing is counted of what never went out, and clients may count together.
func TestTrafficOfNothing(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Stop()
	total := &Traffic{}
	onGRPC := config.DefaultGRPCClient()
	onGRPC.Endpoint, onGRPC.TLS.Insecure = b.GRPCEndpoint(), true
	onHTTP := config.DefaultHTTPClient()
	onHTTP.Endpoint = b.HTTPEndpoint()
	g, err := NewGRPC(onGRPC, hangsAfter, WithTraffic(total))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	h, err := NewHTTP(onHTTP, nil, WithTraffic(total))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	for _, c := range []Sender{g, h} {
		if _, err := send(t, c, otlp.Logs, text(100)); err == nil {
			t.Error("sent to nobody")
		}
	}
	if got := total.counts(); got != (traffic{}) {
		t.Errorf("the counts are %d, though nothing was sent", got)
	}
}
