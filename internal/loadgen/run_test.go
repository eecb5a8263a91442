package loadgen

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// configFor returns the configuration of a short run with b.
func configFor(b *testkit.Backend, protocol string) Config {
	c := DefaultConfig()
	c.Protocol, c.Endpoint = protocol, b.GRPCEndpoint()
	if protocol == HTTP {
		c.Endpoint = b.HTTPEndpoint()
	}
	c.Timeout = time.Minute // do not fail on a slow machine
	c.Duration = 0
	c.Requests = 40
	c.BatchItems = 10
	c.Deterministic = true
	return c
}

func mustRun(t *testing.T, c Config) *Report {
	t.Helper()
	r, err := Run(context.Background(), c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The report agrees with the server: the numbers of requests and items, and the bytes.
func TestRunSendsWhatTheSourceMakes(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{GRPC, HTTP} {
		for _, compression := range []config.Compression{config.NoCompression, config.Gzip, config.Zstd} {
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			c := configFor(b, protocol)
			c.Signals, c.Compression, c.Connections = all(), compression, 2
			c.Headers = config.Headers{{Name: "x-tenant", Value: "blue"}}
			r := mustRun(t, c)
			if r.Total.RequestsAcknowledged != 40 || r.Total.ItemsAcknowledged != 400 || r.Total.RequestsFailed != 0 {
				t.Errorf("%s %s: %+v", protocol, compression, r.Total)
			}
			want := map[string]bool{}
			source := newSource(t, c.Shape)
			bytesSent := uint64(0)
			for n := range c.Requests {
				request := take(source, n, time.Now())
				want[string(request)] = true
				bytesSent += uint64(len(request))
			}
			for _, s := range all() {
				if got := r.BySignal[s.String()]; got.ItemsAcknowledged != 100 || b.Items(s) != 100 {
					t.Errorf("%s %s: %d %s reported, %d at the server, want 100", protocol, compression, got.ItemsAcknowledged, s.Spec().Item, b.Items(s))
				}
			}
			for _, call := range b.Calls() {
				if !want[string(call.Bytes)] {
					t.Errorf("%s %s: the server has %s that the source does not generate, or has them twice", protocol, compression, call.Signal)
				}
				delete(want, string(call.Bytes))
				if call.Encoding != compression.Encoding() || call.Header["x-tenant"][0] != "blue" || call.Transport != protocol {
					t.Errorf("%s %s: came as %s %q with %v", protocol, compression, call.Transport, call.Encoding, call.Header["x-tenant"])
				}
			}
			if r.Total.BytesAcknowledged != bytesSent || r.CPUSeconds <= 0 || r.Total.Latency.P50 <= 0 || r.Total.Latency.Max < r.Total.Latency.P99 {
				t.Errorf("%s %s: %d bytes of %d, %v CPU, latency %+v", protocol, compression, r.Total.BytesAcknowledged, bytesSent, r.CPUSeconds, r.Total.Latency)
			}
		}
	}
}

func TestRunCountsConnections(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	c := configFor(b, GRPC)
	c.Connections, c.Workers, c.Requests = 3, 6, 120
	var together atomic.Int32
	var most atomic.Int32
	b.Respond(func(testkit.Call) testkit.Answer {
		n := together.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		together.Add(-1)
		return testkit.Answer{}
	})
	mustRun(t, c)
	peers := map[string]bool{}
	for _, call := range b.Calls() {
		peers[call.Peer] = true
	}
	if len(peers) != 3 || most.Load() > 6 || most.Load() < 2 {
		t.Errorf("%d connections, want 3; %d requests at once, want 2 to 6", len(peers), most.Load())
	}
}

func TestRunOverTLS(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{TLS: true})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, b.CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{GRPC, HTTP} {
		c := configFor(b, protocol)
		c.Requests = 4
		c.TLS = config.ClientTLS{TLS: config.TLS{CAFile: ca}}
		if r := mustRun(t, c); r.Total.RequestsAcknowledged != 4 || r.Err() != nil {
			t.Errorf("%s: %+v", protocol, r.Total)
		}
		c.TLS.CAFile = ""
		c.Requests = 1
		if r := mustRun(t, c); !errors.Is(r.Err(), ErrNothingAcknowledged) {
			t.Errorf("%s: a server with an unknown certificate was trusted: %v", protocol, r.Err())
		}
	}
}

// Failed requests are counted by status, with their retry hints. Partially rejected
// requests are counted by item.
func TestRunReportsFailures(t *testing.T) {
	t.Parallel()
	status := map[string][2]string{GRPC: {"Unavailable", "InvalidArgument"}, HTTP: {"HTTP 503", "HTTP 400"}}
	for _, protocol := range []string{GRPC, HTTP} {
		b := testkit.NewBackend(t, testkit.BackendConfig{})
		busy := testkit.Answer{Code: codes.Unavailable, RetryAfter: time.Second, Message: "busy"}
		b.Script(busy, busy, testkit.Answer{Code: codes.InvalidArgument, Message: "bad"},
			testkit.Answer{Rejected: 4, Message: "too old"}, testkit.Answer{Message: "soon full"})
		c := configFor(b, protocol)
		c.Requests = 10
		got := mustRun(t, c)
		want := Counts{
			RequestsSent: 10, RequestsAcknowledged: 7, RequestsPartial: 1, RequestsFailed: 3,
			ItemsSent: 100, ItemsAcknowledged: 66, ItemsRejected: 4, ItemsFailed: 30,
			Warnings: 1, BytesAcknowledged: got.Total.BytesAcknowledged,
		}
		if got.Total.Counts != want {
			t.Errorf("%s: got %+v\nwant %+v", protocol, got.Total.Counts, want)
		}
		f := got.Total.Failures
		if len(f) != 2 || f[0].Status != status[protocol][0] || f[0].Requests != 2 || f[0].RetryHints != 2 ||
			f[1].Status != status[protocol][1] || f[1].Requests != 1 || f[1].RetryHints != 0 || !strings.Contains(f[1].Example, "bad") {
			t.Errorf("%s: failures %+v", protocol, f)
		}
	}
}

// All requests that are due during a stall of half a second have to wait, which the
// quantiles show. Without the correction a single request of 200 would be slow.
func TestLatencyIsCorrectedForCoordinatedOmission(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	const stall = 500 * time.Millisecond
	b.Script(testkit.Answer{Delay: stall})
	c := configFor(b, GRPC)
	c.Workers, c.Requests, c.ItemsPerSecond = 1, 200, 200*float64(c.BatchItems)
	r := mustRun(t, c)
	// A quarter of the requests are due in the first half of the stall.
	if got := r.Total.Latency.P90; got < 250 {
		t.Errorf("p90 is %v ms, want at least 250", got)
	}
	if got := r.Total.Delay.P90; got < 250 {
		t.Errorf("p90 of the delay is %v ms, want at least 250", got)
	}
	if r.ElapsedSeconds < 0.99 {
		t.Errorf("200 requests at 200 a second took %v s", r.ElapsedSeconds)
	}
}

// Requests that were due and not sent are reported.
func TestRunReportsUnsent(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Delay: 100 * time.Millisecond} })
	c := configFor(b, GRPC)
	c.Requests, c.Duration = 0, 400*time.Millisecond
	c.Workers, c.ItemsPerSecond = 1, 1000*float64(c.BatchItems)
	r := mustRun(t, c)
	if all := r.Total.RequestsSent + r.RequestsUnsent; r.Total.RequestsSent > 10 || r.RequestsUnsent == 0 || all > 401 {
		t.Errorf("%d sent, %d unsent: want 400 together, 4 of them sent", r.Total.RequestsSent, r.RequestsUnsent)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "The rate was not reached") {
		t.Errorf("%v: the report does not say so: %s", err, &text)
	}
}

// At a constant rate a run sends exactly the requests that are due before its end.
func TestRunHasTheRequestsThatAreDue(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	c := configFor(b, GRPC)
	c.Requests, c.Duration, c.ItemsPerSecond = 0, 600*time.Millisecond, 10*float64(c.BatchItems)
	r := mustRun(t, c)
	if r.Total.RequestsSent+r.RequestsUnsent != 6 || r.ElapsedSeconds < 0.6 {
		t.Errorf("%d sent and %d unsent in %v s, want 6", r.Total.RequestsSent, r.RequestsUnsent, r.ElapsedSeconds)
	}
}

// A rate below one request a second sends all signals, at once.
func TestLowRateReachesAllSignals(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	c := configFor(b, GRPC)
	c.Signals, c.Requests, c.Duration, c.ItemsPerSecond = all(), 0, 100*time.Millisecond, 0.1*float64(c.BatchItems)
	r := mustRun(t, c)
	for _, s := range all() {
		if got := r.BySignal[s.String()]; got.RequestsSent != 1 {
			t.Errorf("%d requests of %s were sent, want 1", got.RequestsSent, s)
		}
	}
}

func TestRunEndsAfterItsDuration(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	c := configFor(b, HTTP)
	c.Requests, c.Duration = 0, 200*time.Millisecond
	r := mustRun(t, c)
	if r.ElapsedSeconds < 0.2 || r.Interrupted || r.Total.RequestsAcknowledged == 0 || r.Total.RequestsFailed != 0 {
		t.Errorf("after %v s, interrupted %t: %+v", r.ElapsedSeconds, r.Interrupted, r.Total.Counts)
	}
}

// An interrupted run has a report that includes the requests in flight.
func TestRunIsInterrupted(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0, 500} {
		b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
		ctx, cancel := context.WithCancel(context.Background())
		b.Respond(func(testkit.Call) testkit.Answer {
			if len(b.Calls()) > 20 {
				cancel()
				return testkit.Answer{Delay: 50 * time.Millisecond}
			}
			return testkit.Answer{}
		})
		c := configFor(b, GRPC)
		c.Requests, c.ItemsPerSecond = 0, rate*float64(c.BatchItems)
		r, err := Run(ctx, c, nil)
		cancel()
		if err != nil || !r.Interrupted || r.Total.RequestsAcknowledged < 20 || r.Total.RequestsFailed != 0 {
			t.Errorf("%v: interrupted %t, %+v", err, r.Interrupted, r.Total.Counts)
		}
		if int(r.Total.RequestsAcknowledged) != len(b.Calls()) {
			t.Errorf("%d reported, the server has %d", r.Total.RequestsAcknowledged, len(b.Calls()))
		}
	}
}

// A server that does not respond does not delay the end of an interrupted run.
func TestRunIsInterruptedWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Delay: time.Hour} })
	c := configFor(b, GRPC)
	c.Timeout = time.Hour
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		b.WaitArrived(t, c.Workers)
		cancel()
	}()
	r, err := Run(ctx, c, nil)
	if err != nil || !r.Interrupted || r.Total.RequestsFailed != uint64(c.Workers) || !errors.Is(r.Err(), ErrNothingAcknowledged) {
		t.Errorf("%v: %+v, verdict %v", err, r.Total, r.Err())
	}
}

// If no server listens there is an error, and no flood of requests.
func TestRunWithoutAServer(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{GRPC, HTTP} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		c := DefaultConfig()
		c.Protocol, c.Endpoint = protocol, l.Addr().String()
		if protocol == HTTP {
			c.Endpoint = "http://" + c.Endpoint
		}
		l.Close()
		c.Workers, c.Duration = 1, 300*time.Millisecond
		r := mustRun(t, c)
		if err := r.Err(); !errors.Is(err, ErrNothingAcknowledged) || !strings.Contains(err.Error(), "Unavailable") {
			t.Errorf("%s: %v", protocol, err)
		}
		if r.Total.RequestsSent > 50 {
			t.Errorf("%s: %d requests without a server", protocol, r.Total.RequestsSent)
		}
	}
}

// Requests that time out while they are sent do not release their template too early:
// every request that arrives is complete and one that the source generates.
func TestTimeoutsDoNotMixRequests(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Respond(func(testkit.Call) testkit.Answer { return testkit.Answer{Delay: time.Hour} })
	c := configFor(b, GRPC)
	c.BatchItems, c.ItemBytes, c.Requests, c.Workers = 2000, 4500, 20, 2 // one template
	c.Timeout = 15 * time.Millisecond
	if r := mustRun(t, c); r.Total.RequestsFailed != c.Requests {
		t.Errorf("%d of %d requests timed out, want all", r.Total.RequestsFailed, c.Requests)
	}
	want := map[[sha256.Size]byte]bool{}
	source := newSource(t, c.Shape)
	for n := range c.Requests {
		want[sha256.Sum256(take(source, n, time.Now()))] = true
	}
	for _, call := range b.Calls() {
		if !want[sha256.Sum256(call.Bytes)] {
			t.Errorf("a request of %d bytes arrived that the source does not generate", call.Length)
		}
	}
}

func TestRunTellsHowItIsDoing(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{CountOnly: true})
	c := configFor(b, GRPC)
	c.Requests, c.Duration, c.ItemsPerSecond = 0, 1300*time.Millisecond, 1000
	var seen []Progress
	r, err := Run(context.Background(), c, func(p Progress) { seen = append(seen, p) })
	if err != nil {
		t.Fatal(err)
	}
	if len(seen) < 2 || seen[0].ItemsAcknowledged == 0 || seen[0].ItemsPerSecond == 0 {
		t.Fatalf("%+v", seen)
	}
	if last := seen[len(seen)-1]; last.Counts != r.Total.Counts {
		t.Errorf("the last progress has %+v, the report %+v", last.Counts, r.Total.Counts)
	}
}

func TestReportAsJSONAndText(t *testing.T) {
	t.Parallel()
	b := testkit.NewBackend(t, testkit.BackendConfig{})
	b.Script(testkit.Answer{Code: codes.Unavailable, RetryAfter: time.Second, Message: "busy"})
	c := configFor(b, GRPC)
	c.Signals = []otlp.Signal{otlp.Logs, otlp.Profiles}
	r := mustRun(t, c)
	js, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Total struct {
			Items   int                `json:"items_acknowledged"`
			Latency map[string]float64 `json:"latency_ms"`
			Fails   []map[string]any   `json:"failures"`
		} `json:"total"`
		BySignal map[string]map[string]any `json:"by_signal"`
		CPU      float64                   `json:"cpu_seconds"`
	}
	if err := json.Unmarshal(js, &got); err != nil {
		t.Fatal(err)
	}
	if got.Total.Items != 390 || got.CPU <= 0 || got.Total.Latency["p99.9"] <= 0 || len(got.Total.Fails) != 1 ||
		got.BySignal["profiles"]["items_per_second"] == nil || len(got.BySignal) != 2 {
		t.Errorf("%s", js)
	}
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"logs", "profiles", "390", "Unavailable", "busy", "p99.9"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, &text)
		}
	}
}

func TestConfigIsValidated(t *testing.T) {
	t.Parallel()
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the default is invalid: %v", err)
	}
	for want, spoil := range map[string]func(*Config){
		"no signal: expected":         func(c *Config) { c.Signals = nil },
		"invalid signal: expected":    func(c *Config) { c.Signals = []otlp.Signal{9} },
		`unknown protocol "udp"`:      func(c *Config) { c.Protocol = "udp" },
		"a batch of 0 items":          func(c *Config) { c.BatchItems = 0 },
		"items of -1 bytes":           func(c *Config) { c.ItemBytes = -1 },
		"0 connections":               func(c *Config) { c.Connections = 0 },
		"0 workers":                   func(c *Config) { c.Workers = 0 },
		"a rate of -1 items":          func(c *Config) { c.ItemsPerSecond = -1 },
		"a duration of -1s":           func(c *Config) { c.Duration = -time.Second },
		"a timeout of 0s":             func(c *Config) { c.Timeout = 0 },
		"no endpoint is set":          func(c *Config) { c.Endpoint = "" },
		"the port is missing":         func(c *Config) { c.Endpoint = "localhost" },
		"the endpoint is not a URL":   func(c *Config) { c.Protocol = HTTP },
		`unknown compression "lz4"`:   func(c *Config) { c.Compression = "lz4" },
		"needs its key":               func(c *Config) { c.TLS.CertFile = "x" },
		"the name may contain":        func(c *Config) { c.Headers = config.Headers{{Name: "a b"}} },
		"make the batch or the items": func(c *Config) { c.BatchItems, c.ItemBytes = 1000, 100_000 },
	} {
		c := DefaultConfig()
		spoil(&c)
		_, err := Run(context.Background(), c, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestProgressPrinter(t *testing.T) {
	t.Parallel()
	long := Progress{Elapsed: time.Second, Counts: Counts{ItemsAcknowledged: 123456, RequestsFailed: 3, ItemsRejected: 2}, Behind: 7, InFlight: 4}
	short := Progress{Elapsed: 2 * time.Second}
	var lines, terminal strings.Builder
	for _, p := range []*ProgressPrinter{NewProgressPrinter(&lines, false), NewProgressPrinter(&terminal, true)} {
		p.Print(long)
		p.Print(short)
		p.Finish()
	}
	if got := strings.Count(lines.String(), "\n"); got != 2 || strings.Contains(lines.String(), "\r") {
		t.Errorf("not a terminal: %q", &lines)
	}
	if !strings.Contains(lines.String(), "123456 items acknowledged") || !strings.Contains(lines.String(), "3 failed") || !strings.Contains(lines.String(), "7 behind") {
		t.Errorf("%q", &lines)
	}
	parts := strings.Split(strings.TrimSuffix(terminal.String(), "\n"), "\r")
	if len(parts) != 3 || len(parts[2]) != len(parts[1]) || strings.Count(terminal.String(), "\n") != 1 {
		t.Errorf("a terminal: %q", parts)
	}
}
