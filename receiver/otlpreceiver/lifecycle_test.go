package otlpreceiver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

var _ pipeline.Component = (*Receiver)(nil)

// Through pipeline.Shared one configuration is one receiver, whose listeners live
// from the first Start to the last Shutdown.
func TestShared(t *testing.T) {
	t.Parallel()
	var all pipeline.Shared[*Config, *Receiver]
	cfg, other := testConfig(), testConfig()
	ctx := t.Context()
	get := func(c *Config) *pipeline.Handle[*Config, *Receiver] {
		h, err := all.Get(c, func() (*Receiver, error) { return New(*c, component.Settings{ID: "otlp"}) })
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	traces, logs, apart := get(&cfg), get(&cfg), get(&other)
	if traces.Component() != logs.Component() || traces.Component() == apart.Component() {
		t.Fatal("want one receiver for the same *Config, another for another")
	}
	s := &testkit.Sink{}
	for sig, h := range map[otlp.Signal]*pipeline.Handle[*Config, *Receiver]{otlp.Traces: traces, otlp.Logs: logs} {
		if err := h.Component().Register(sig, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := traces.Start(ctx); err != nil {
		t.Fatal(err)
	}
	addr := traces.Component().GRPCAddr().String()
	if err := logs.Start(ctx); err != nil || logs.Component().GRPCAddr().String() != addr {
		t.Fatalf("second Start: %v, address %v, want %s as before", err, logs.Component().GRPCAddr(), addr)
	}
	r := &rig{Receiver: logs.Component(), t: t, conn: dial(t, addr)}
	for range 2 { // Shutdown by one user, twice over, leaves the other's service
		if err := traces.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		for _, sig := range []otlp.Signal{otlp.Traces, otlp.Logs} {
			if a := r.sendGRPC(sig, "", request(sig, 1)); !a.ok() {
				t.Errorf("%s after the first user left: %v", sig, a.status)
			}
		}
	}
	if err := logs.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the port is still open after the last user left")
	}
	again := get(&cfg)
	if again.Component() == r.Receiver {
		t.Error("the same configuration got the receiver that was shut down")
	}
	if err := again.Start(ctx); err != nil {
		t.Errorf("start again: %v", err)
	}
	for _, h := range []*pipeline.Handle[*Config, *Receiver]{again, apart} {
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestLifecycleOrder(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	r, err := New(testConfig(), component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	if r.GRPCAddr() != nil || r.HTTPAddr() != nil {
		t.Error("New bound something")
	}
	if r.Register(0, &testkit.Sink{}) == nil || r.Register(otlp.Logs, nil) == nil {
		t.Error("Register took no signal, or no consumer")
	}
	if err := r.Register(otlp.Logs, &testkit.Sink{}); err != nil {
		t.Error(err)
	}
	if r.Register(otlp.Logs, &testkit.Sink{}) == nil {
		t.Error("Register took a second consumer of a signal")
	}
	for range 2 {
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if r.Register(otlp.Traces, &testkit.Sink{}) == nil {
		t.Error("Register took a consumer after Start")
	}
	for range 2 {
		if err := r.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if r.Start(ctx) == nil {
		t.Error("Start revived a receiver that was shut down")
	}

	idle, err := New(testConfig(), component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	if err := idle.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown without Start: %v", err)
	}
}

// A port that is taken is an error of Start that names it, and leaves nothing
// open.
func TestStartFailsWhole(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, protocol := range []string{"grpc", "http"} {
		cfg := testConfig()
		g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
		socket := t.TempDir() + "/otlp" // removed when the listener is closed
		if protocol == "grpc" {
			g.Endpoint, h.Transport, h.Endpoint = taken.Addr().String(), "unix", socket
		} else {
			g.Transport, g.Endpoint, h.Endpoint = "unix", socket, taken.Addr().String()
		}
		r, err := New(Config{Protocols: Protocols{GRPC: g, HTTP: h}}, component.Settings{ID: "otlp/2"})
		if err != nil {
			t.Fatal(err)
		}
		err = r.Start(t.Context())
		if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) || !strings.Contains(err.Error(), "protocols."+protocol) ||
			!strings.Contains(err.Error(), `"otlp/2"`) {
			t.Errorf("%s: %v, want an error with receiver, protocol and endpoint", protocol, err)
		}
		if again := r.Start(t.Context()); again != err {
			t.Errorf("%s: second Start: %v, want the first one's error", protocol, again)
		}
		if _, err := os.Stat(socket); r.GRPCAddr() != nil || r.HTTPAddr() != nil || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the other listener stayed open", protocol)
		}
		if err := r.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: Shutdown: %v", protocol, err)
		}
	}
}

func TestStartLogsBoundAddress(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	for _, line := range []string{"Starting GRPC server", "Starting HTTP server", r.GRPCAddr().String(), r.HTTPAddr().String()} {
		if !strings.Contains(r.logs.String(), line) {
			t.Errorf("no %q in the log:\n%s", line, r.logs)
		}
	}
}

func TestOneProtocolOnly(t *testing.T) {
	t.Parallel()
	both := testConfig()
	r := newRig(t, Config{Protocols: Protocols{HTTP: both.Protocols.HTTP}})
	if r.GRPCAddr() != nil {
		t.Error("gRPC runs without being asked for")
	}
	if a := r.sendHTTP(otlp.Logs, "", request(otlp.Logs, 1)); !a.ok() {
		t.Error(a.status)
	}
	r = newRig(t, Config{Protocols: Protocols{GRPC: both.Protocols.GRPC}})
	if r.HTTPAddr() != nil {
		t.Error("HTTP runs without being asked for")
	}
	if a := r.sendGRPC(otlp.Logs, "", request(otlp.Logs, 1)); !a.ok() {
		t.Error(a.status)
	}
}

func TestUnixSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := testConfig()
	g, h := cfg.Protocols.GRPC, cfg.Protocols.HTTP
	g.Transport, g.Endpoint, h.Transport, h.Endpoint = "unix", dir+"/g", "unix", dir+"/h"
	r, err := New(Config{Protocols: Protocols{GRPC: g, HTTP: h}}, component.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	s := &testkit.Sink{}
	if err := r.Register(otlp.Logs, s); err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Shutdown(context.Background()) }()
	rg := &rig{Receiver: r, t: t, conn: dial(t, "unix:"+dir+"/g")}
	if a := rg.sendGRPC(otlp.Logs, "", request(otlp.Logs, 1)); !a.ok() {
		t.Error(a.status)
	}
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", dir+"/h")
	}}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Post("http://x/v1/logs", "application/x-protobuf", bytes.NewReader(request(otlp.Logs, 1)))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if n := s.Calls(); resp.StatusCode != http.StatusOK || n != 2 {
		t.Errorf("status %d, %d batches", resp.StatusCode, n)
	}
}

// tryGRPC and tryHTTP send logs to a receiver that may be gone.
func (r *rig) tryGRPC(body []byte) bool { return r.sendGRPC(otlp.Logs, "", body).ok() }

func (r *rig) tryHTTP(body []byte) bool {
	resp, err := r.web.Post("http://"+r.HTTPAddr().String()+"/v1/logs", "application/x-protobuf", bytes.NewReader(body))
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// Under load, what was acknowledged reached the consumer, and nothing reaches it
// after Shutdown has returned.
func TestShutdownUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	var down atomic.Bool
	var late, kept, acked atomic.Int64
	r.sink.Respond(func(context.Context, *pipeline.Batch) error {
		if down.Load() {
			late.Add(1)
		}
		kept.Add(1)
		return nil
	})
	body := request(otlp.Logs, 5)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for _, try := range []func(r *rig, body []byte) bool{(*rig).tryGRPC, (*rig).tryHTTP} {
		for range 4 {
			senders.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					if try(r, body) {
						acked.Add(1)
					}
				}
			})
		}
	}
	for acked.Load() < 200 {
		time.Sleep(time.Millisecond)
	}
	if err := r.shutdownIn(20 * time.Second); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	down.Store(true)
	time.Sleep(50 * time.Millisecond)
	close(stop)
	senders.Wait()
	if late.Load() != 0 {
		t.Errorf("%d requests reached the consumer after Shutdown", late.Load())
	}
	if kept.Load() < acked.Load() {
		t.Errorf("%d acknowledged, %d kept", acked.Load(), kept.Load())
	}
}

// A request in progress is finished and answered before Shutdown returns.
func TestShutdownFinishesRequests(t *testing.T) {
	t.Parallel()
	for _, via := range testTransports {
		r := newRig(t, testConfig())
		inside, proceed := make(chan struct{}), make(chan struct{})
		r.sink.Respond(func(context.Context, *pipeline.Batch) error {
			close(inside)
			<-proceed
			return nil
		})
		answered, down := make(chan answer, 1), make(chan error, 1)
		go func() { answered <- via.send(r, otlp.Logs, "", request(otlp.Logs, 1)) }()
		<-inside
		go func() { down <- r.shutdownIn(20 * time.Second) }()
		select {
		case err := <-down:
			t.Errorf("%s: Shutdown returned %v with a request inside", via.name, err)
		case <-time.After(50 * time.Millisecond):
		}
		close(proceed)
		if a := <-answered; !a.ok() {
			t.Errorf("%s: the request in progress: %v", via.name, a.status)
		}
		if err := <-down; err != nil {
			t.Errorf("%s: Shutdown: %v", via.name, err)
		}
	}
}

// Clients that hold a stream or a connection open do not hold up Shutdown
// beyond its deadline.
func TestShutdownWithHeldStreams(t *testing.T) {
	t.Parallel()
	hold := map[string]func(t *testing.T, r *rig){
		"grpc stream without its message": func(t *testing.T, r *rig) {
			r.holdOpen(h2Client(t), r.GRPCAddr(), otlp.Logs.Spec().Method, http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}})
		},
		"http body without its end": func(t *testing.T, r *rig) {
			r.holdOpen(r.web, r.HTTPAddr(), "/v1/logs", http.Header{"Content-Type": {"application/x-protobuf"}})
		},
		"grpc connection without a preface": func(t *testing.T, r *rig) {
			c, err := net.Dial("tcp", r.GRPCAddr().String())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			r.waitFor(func() bool { return r.servers.Load().grpc.Listener().Open() > 0 })
		},
	}
	for name, hold := range hold {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, testConfig())
			hold(t, r)
			begin := time.Now()
			err := r.shutdownIn(200 * time.Millisecond)
			if d := time.Since(begin); d > 200*time.Millisecond+abortGrace+5*time.Second {
				t.Errorf("Shutdown took %s", d)
			}
			if streams := name != "grpc connection without a preface"; streams != errors.Is(err, context.DeadlineExceeded) ||
				streams && !strings.Contains(err.Error(), "1 unfinished requests were aborted") {
				t.Errorf("Shutdown: %v", err)
			}
		})
	}
}

// holdOpen begins a request whose body never ends, and waits until the receiver
// has it inside.
func (r *rig) holdOpen(c *http.Client, addr net.Addr, path string, header http.Header) {
	r.t.Helper()
	body, w := io.Pipe()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr.String()+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header = header
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := c.Do(req); err == nil {
			_ = resp.Body.Close()
		}
	}()
	r.t.Cleanup(func() {
		_ = w.Close()
		<-done
	})
	if _, err := w.Write([]byte{0}); err != nil {
		r.t.Fatal(err)
	}
	r.waitFor(func() bool { return r.inFlight.Count() == 1 })
}

func (r *rig) waitFor(condition func() bool) {
	r.t.Helper()
	testkit.Eventually(r.t, "the condition holds", condition)
}

// The context of a consumer that hangs is cancelled. If the consumer returns
// then, Shutdown waits for it; if not, Shutdown returns an error.
func TestShutdownWithHungConsumer(t *testing.T) {
	t.Parallel()
	for _, via := range []struct {
		name string
		post func(r *rig, body []byte) bool
	}{{"grpc", (*rig).tryGRPC}, {"http", (*rig).tryHTTP}} {
		for _, deaf := range []bool{false, true} {
			r := newRig(t, testConfig())
			inside, wake, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
			r.sink.Respond(func(ctx context.Context, _ *pipeline.Batch) error {
				defer close(returned)
				close(inside)
				if deaf {
					<-wake
					return nil
				}
				<-ctx.Done()
				return ctx.Err()
			})
			answered := make(chan struct{})
			go func() {
				defer close(answered)
				via.post(r, request(otlp.Logs, 1))
			}()
			<-inside
			err := r.shutdownIn(100 * time.Millisecond)
			if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "still in the pipeline") != deaf {
				t.Errorf("%s, deaf %v: Shutdown: %v", via.name, deaf, err)
			}
			select {
			case <-returned:
				if deaf {
					t.Error("the deaf consumer returned by itself")
				}
			default:
				if !deaf {
					t.Error("Shutdown returned before the consumer")
				}
			}
			close(wake)
			<-returned
			<-answered
			if deaf {
				r.waitFor(func() bool { return r.inFlight.Count() == 0 })
			}
		}
	}
}

// Between the deadline and the end of a request that is in progress, the consumer is
// not called any more.
func TestClosedInFlightKeepsConsumerAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	r.inFlight.Close()
	for _, via := range testTransports {
		a := via.send(r, otlp.Logs, "", request(otlp.Logs, 1))
		if a.ok() || codes.Code(a.status.Code) != codes.Unavailable || a.http != 0 && a.http != http.StatusServiceUnavailable {
			t.Errorf("%s: %+v, want Unavailable", via.name, a)
		}
	}
	if r.sink.Calls() != 0 {
		t.Error("the consumer was called")
	}
}
