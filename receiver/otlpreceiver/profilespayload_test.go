package otlpreceiver

import (
	"bytes"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpclient"
)

// What a profiler sends arrives byte for byte, over both protocols and with each
// compression.
func TestProfilerPayloadsUntouched(t *testing.T) {
	t.Parallel()
	payloads := testkit.ProfilerPayloads(t)
	for _, compression := range []config.Compression{config.NoCompression, config.Gzip, config.Zstd} {
		r := newRig(t, testConfig(), otlp.Profiles)
		overGRPC := config.DefaultGRPCClient()
		overGRPC.Endpoint, overGRPC.TLS.Insecure, overGRPC.Compression = r.GRPCAddr().String(), true, compression
		g, err := otlpclient.NewGRPC(overGRPC, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		overHTTP := config.DefaultHTTPClient()
		overHTTP.Endpoint, overHTTP.Compression = "http://"+r.HTTPAddr().String(), compression
		h, err := otlpclient.NewHTTP(overHTTP, nil)
		if err != nil {
			t.Fatal(err)
		}
		for transport, sender := range map[string]otlpclient.Sender{"grpc": g, "http": h} {
			for name, payload := range payloads {
				before := len(r.sink.All())
				if _, err := sender.Send(t.Context(), otlpclient.Request{Signal: otlp.Profiles, Bytes: bytes.Clone(payload)}); err != nil {
					t.Fatalf("%s over %s: %v", name, transport, err)
				}
				got := r.sink.All()[before:]
				if len(got) != 1 || got[0].Signal != otlp.Profiles || !bytes.Equal(got[0].Bytes, payload) {
					t.Errorf("%s over %s with %q: %d batches arrived, not the one that was sent", name, transport, compression, len(got))
					continue
				}
				testkit.CheckProfiles(t, got[0].Bytes)
				if n := len(testkit.ProfileSamples(t, payload)); got[0].Items != n {
					t.Errorf("%s over %s: %d samples counted of %d", name, transport, got[0].Items, n)
				}
			}
			if err := sender.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
