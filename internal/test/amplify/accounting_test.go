//go:build poison

package amplify

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/exporter/otlpexporter"
	"github.com/penstock-telemetry/penstock/exporter/otlphttpexporter"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/otlpreceiver"
)

// At every look the budget holds at least the bytes of the batches and buffers that are
// alive, with all processors and exporters, a backend, a destination that never reads,
// amplifiers, ordinary requests and clients that go away. In the end both are zero.
func TestBudgetHoldsWhatIsAlive(t *testing.T) {
	budget := admission.New(admission.Config{Bytes: 64 << 20})
	addr, stop := startAll(t, budget)
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	var senders sync.WaitGroup
	for i := range 8 {
		senders.Go(func() { send(ctx, addr, rand.New(rand.NewPCG(uint64(i), 3))) })
	}
	looks, highest := 0, int64(0)
	for ; ctx.Err() == nil; time.Sleep(20 * time.Microsecond) {
		alive, before := pipeline.AliveBytes()
		used := budget.Stats().Used
		if _, after := pipeline.AliveBytes(); before != after {
			continue // not true at one time
		}
		looks++
		highest = max(highest, alive)
		if alive > used {
			t.Fatalf("look %d: %d bytes are alive, the budget holds %d", looks, alive, used)
		}
	}
	senders.Wait()
	stop()
	t.Logf("%d looks, at most %d KiB alive", looks, highest>>10)
	if looks < 20 || highest < 1<<20 {
		t.Errorf("%d looks, at most %d bytes alive: too few to mean anything", looks, highest)
	}
	if alive, _ := pipeline.AliveBytes(); alive != 0 || budget.Stats().Used != 0 {
		t.Errorf("idle: %d bytes are alive, the budget holds %d", alive, budget.Stats().Used)
	}
}

// startAll starts a receiver with all processors and exporters behind it and returns
// its address over HTTP.
func startAll(t *testing.T, budget *admission.Budget) (addr string, stop func()) {
	t.Helper()
	subjects, err := Subjects()
	if err != nil {
		t.Fatal(err)
	}
	var ends []func()
	behind := map[otlp.Signal][]pipeline.Consumer{}
	for _, s := range subjects {
		c, end, err := s.Start(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, end)
		for _, signal := range otlp.Signals() {
			if s.Takes(signal) {
				behind[signal] = append(behind[signal], c)
			}
		}
	}
	for _, e := range senders(t) {
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, func() { _ = e.Shutdown(context.Background()) })
		for signal := range behind {
			behind[signal] = append(behind[signal], e)
		}
	}
	web := otlpreceiver.DefaultHTTPConfig()
	web.Endpoint = "127.0.0.1:0"
	cfg := otlpreceiver.Config{Protocols: otlpreceiver.Protocols{HTTP: web}}
	r, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp", Memory: budget})
	if err != nil {
		t.Fatal(err)
	}
	for signal, consumers := range behind {
		if err := r.Register(signal, pipeline.Fanout(consumers...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r.HTTPAddr().String(), func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		for _, end := range ends {
			end()
		}
	}
}

// senders are exporters over the network: to a backend, and to a destination that does
// not read.
func senders(t *testing.T) []component.Exporter {
	t.Helper()
	backend := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	stuck, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts, nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stuck.Close() })
	good := otlpexporter.DefaultConfig()
	good.Endpoint, good.TLS.Insecure = backend.GRPCEndpoint(), true
	bad := otlphttpexporter.DefaultConfig()
	bad.Endpoint, bad.Timeout = "http://"+stuck.Addr().String(), 100*time.Millisecond
	e, err := otlpexporter.New(good, component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	h, err := otlphttpexporter.New(bad, component.Settings{ID: "otlphttp"})
	if err != nil {
		t.Fatal(err)
	}
	return []component.Exporter{e, h}
}

// send sends requests until ctx ends. Half of them are given up before an answer.
func send(ctx context.Context, addr string, rng *rand.Rand) {
	web := &http.Client{Transport: &http.Transport{}}
	defer web.CloseIdleConnections()
	bodies := Requests(256 << 10)
	for ctx.Err() == nil {
		r := bodies[rng.IntN(len(bodies))]
		if rng.IntN(2) == 0 {
			r.Signal = otlp.Signals()[rng.IntN(4)]
			r.Body = testkit.Request(rng, r.Signal, 1+rng.IntN(200))
		}
		short, cancel := context.WithTimeout(ctx, time.Duration(1+rng.IntN(400))*time.Millisecond)
		req, err := http.NewRequestWithContext(short, http.MethodPost, "http://"+addr+r.Signal.Spec().Path, bytes.NewReader(gzipped(r.Body)))
		if err == nil {
			req.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"gzip"}}
			if resp, err := web.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
		cancel()
	}
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b) // into memory
	_ = w.Close()
	return out.Bytes()
}
