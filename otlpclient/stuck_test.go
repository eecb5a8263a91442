package otlpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// noise is a request of about n bytes that do not compress, with a capacity of a power
// of two, as pooled ones have.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	name := make([]byte, n)
	for i := range name {
		name[i] = byte(' ' + r.IntN(95))
	}
	var e otlp.Encoder
	rs := otlp.AppendExportTraceServiceRequest(&e).AddResourceSpans()
	ss := rs.AddScopeSpans()
	span := ss.AddSpans()
	span.SetName(string(name))
	span.Close()
	ss.Close()
	rs.Close()
	return e.Buf
}

// offer makes senders send the request with c for a while, each as fast as the budget
// admits it.
func offer(t *testing.T, c Sender, budget *admission.Budget, request []byte, senders int, length time.Duration) {
	t.Helper()
	next := NewConsumer(c)
	var all sync.WaitGroup
	until := time.Now().Add(length)
	for range senders {
		all.Go(func() {
			for time.Now().Before(until) {
				ticket, err := budget.Acquire(t.Context(), "client", len(request))
				if err != nil {
					time.Sleep(5 * time.Millisecond)
					continue
				}
				b, err := pipeline.NewBatch(otlp.Traces, request[:len(request):len(request)], nil)
				if err != nil {
					t.Errorf("make a batch: %v", err)
					ticket.Release()
					return
				}
				b.Hold(ticket)
				if err := next.Consume(t.Context(), b); err == nil {
					t.Error("a destination that does not answer took a request")
				}
				b.Release()
			}
		})
	}
	all.Wait()
}

const timeoutOfStuck = 300 * time.Millisecond

// stuckClients are clients of destinations that do not take what is sent.
func stuckClients(t *testing.T) map[string]func(t *testing.T) Sender {
	ca := tlstest.New(t)
	h2 := ca.Server("127.0.0.1")
	h2.NextProtos = []string{"h2"}
	const open, closed = 1<<31 - 1, 0
	overGRPC := func(p testkit.SilentPeer, compression config.Compression) func(t *testing.T) Sender {
		return func(t *testing.T) Sender {
			cfg := config.DefaultGRPCClient()
			cfg.Endpoint, cfg.TLS.Insecure, cfg.Compression = p.Start(t), p.TLS == nil, compression
			cfg.TLS.InsecureSkipVerify = true
			c, err := NewGRPC(cfg, timeoutOfStuck)
			return opened(t, c, err)
		}
	}
	overHTTP := func(p testkit.SilentPeer, compression config.Compression) func(t *testing.T) Sender {
		return func(t *testing.T) Sender {
			cfg := config.DefaultHTTPClient()
			cfg.Endpoint, cfg.Timeout, cfg.Compression = "http://"+p.Start(t), timeoutOfStuck, compression
			if p.TLS != nil {
				cfg.Endpoint, cfg.TLS.InsecureSkipVerify = "https"+cfg.Endpoint[len("http"):], true
			}
			c, err := NewHTTP(cfg, nil)
			return opened(t, c, err)
		}
	}
	drip := func(p testkit.SilentPeer, bytes int, every time.Duration) testkit.SilentPeer {
		p.Read, p.Every = bytes, every
		return p
	}
	peer := testkit.SilentPeer{HTTP2: true, Window: open}
	secure := testkit.SilentPeer{HTTP2: true, Window: open, TLS: h2}
	return map[string]func(t *testing.T) Sender{
		"grpc":                       overGRPC(peer, "none"),
		"grpc, gzip":                 overGRPC(peer, "gzip"),
		"grpc, zstd":                 overGRPC(peer, "zstd"),
		"grpc, TLS":                  overGRPC(testkit.SilentPeer{HTTP2: true, Window: open, TLS: h2}, "none"),
		"grpc, a byte a second":      overGRPC(drip(peer, 1, time.Second), "none"),
		"grpc, 300 KB a second":      overGRPC(drip(peer, 30_000, 100*time.Millisecond), "gzip"),
		"grpc, no window":            overGRPC(drip(testkit.SilentPeer{HTTP2: true, Window: closed}, 1<<20, 0), "gzip"),
		"grpc, reads, no answer":     overGRPC(drip(peer, 1<<20, 0), "none"),
		"grpc, no handshake":         overGRPC(testkit.SilentPeer{}, "none"),
		"http/1.1":                   overHTTP(testkit.SilentPeer{}, "none"),
		"http/1.1, gzip":             overHTTP(testkit.SilentPeer{}, "gzip"),
		"http/1.1, a byte a second":  overHTTP(drip(testkit.SilentPeer{}, 1, time.Second), "none"),
		"http/2":                     overHTTP(secure, "none"),
		"http/2, gzip":               overHTTP(secure, "gzip"),
		"http/2, a byte a second":    overHTTP(drip(secure, 1, time.Second), "none"),
		"http/2, no window":          overHTTP(drip(testkit.SilentPeer{HTTP2: true, Window: closed, TLS: h2}, 1<<20, 0), "none"),
		"http, no answer in the TLS": overHTTP(testkit.SilentPeer{TLS: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, errors.New("no") }}}, "none"),
	}
}

func opened[C Sender](t *testing.T, c C, err error) Sender {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Once the senders are gone, what they sent to a destination that does not take it does
// not stay in memory.
func TestStuckDestinationGivesBack(t *testing.T) {
	t.Parallel()
	request := noise(1 << 20)
	budgets := map[string]*admission.Budget{}
	var offers sync.WaitGroup // not subtests, of which only a few would run at a time
	for name, open := range stuckClients(t) {
		c, budget := open(t), admission.New(admission.Config{Bytes: 16 << 20, MaxWait: 50 * time.Millisecond})
		budgets[name] = budget
		offers.Go(func() { offer(t, c, budget, request, 8, time.Second) })
	}
	offers.Wait()
	for name, budget := range budgets {
		testkit.Eventually(t, name+": all bytes are free again", func() bool { return budget.Stats().Used == 0 })
	}
}

// A connection whose peer does not read is closed, also if the requests are small and the
// transport does not keep their bytes: it has something of its own for each.
func TestStuckConnectionIsClosed(t *testing.T) {
	t.Parallel()
	clients, all := stuckClients(t), map[string]*connections{}
	var offers sync.WaitGroup
	for _, name := range []string{"grpc", "grpc, gzip", "grpc, TLS", "grpc, a byte a second", "http/1.1", "http/2", "http/2, a byte a second"} {
		c := clients[name](t)
		switch c := c.(type) {
		case *GRPC:
			all[name] = c.conns
		case *HTTP:
			all[name] = c.conns
		}
		budget := admission.New(admission.Config{Bytes: 8 << 20, MaxWait: 50 * time.Millisecond})
		offers.Go(func() {
			offer(t, c, budget, noise(1<<20), 4, timeoutOfStuck) // fills the socket
			offer(t, c, budget, noise(500), 4, 2*timeoutOfStuck)
		})
	}
	offers.Wait()
	for name, conns := range all {
		testkit.Eventually(t, name+": no Write is in progress", func() bool { // gRPC opens another connection
			conns.mu.Lock()
			defer conns.mu.Unlock()
			for c := range conns.open {
				if c.writing.Load() > 0 {
					return false
				}
			}
			return conns.givenUp.Load() == 0
		})
	}
}

// A request whose connection is closed since another was given up is to be sent again,
// and its error says why.
func TestStuckConnectionSaysWhy(t *testing.T) {
	t.Parallel()
	peer := testkit.SilentPeer{HTTP2: true, Window: 1<<31 - 1}
	c := newGRPC(t, peer.Start(t), nil)
	long := make(chan error, 1)
	go func() {
		_, err := c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: noise(16 << 20)})
		long <- err
	}()
	testkit.Eventually(t, "the connection is closed", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := c.Send(ctx, Request{Signal: otlp.Traces, Bytes: text(5000)})
		return err != nil && len(long) > 0
	})
	if e := asError(t, <-long); !e.Retryable || !strings.Contains(e.Error(), errPeerStuck.Error()) {
		t.Errorf("got %v", e)
	}
}

// What a connection had of requests when it broke comes back without the garbage
// collector, which may not run for minutes. Not parallel: it turns the collector off.
func TestBrokenConnectionGivesBack(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, compression := range []config.Compression{"none", "gzip"} {
		d, entered, open := stall(t)
		c := newGRPC(t, d.addr, func(cfg *config.GRPCClient) { cfg.Compression = compression })
		request := noise(2 << 20)
		var leases []*checkedBytes
		failed := make(chan error)
		for range 4 {
			l := newCheckedBytes(request)
			leases = append(leases, l)
			go func() {
				_, err := c.Send(context.Background(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
				failed <- err
			}()
		}
		<-entered
		go d.server.Stop() // closes the connections; waits for the handlers
		for range leases {
			if e := asError(t, <-failed); !e.Retryable {
				t.Errorf("%s: got %+v", compression, e)
			}
		}
		for _, l := range leases {
			testkit.Eventually(t, "the bytes are given back", func() bool { return l.dones.Load() > 0 })
		}
		open()
	}
}

// A destination that reads and takes its time is not cut, even while other requests to
// it are given up.
func TestSlowDestinationIsNotCut(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	for _, compression := range []config.Compression{"none", "gzip"} {
		release := make(chan struct{})
		d := startGRPC(t, func(ctx context.Context) ([]byte, error) {
			select {
			case <-release:
				return nil, nil
			case <-ctx.Done():
				return nil, status.Error(codes.Canceled, "given up")
			}
		})
		c := newGRPC(t, d.addr, func(cfg *config.GRPCClient) { cfg.Compression = compression })
		slow, quick := noise(1<<20), noise(100_000)
		all.Go(func() {
			if _, err := c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: slow}); err != nil {
				t.Errorf("%s: the slow request: %v", compression, err)
			}
		})
		<-d.arrivals
		all.Go(func() {
			defer close(release)
			for until := time.Now().Add(2 * leaseGrace); time.Now().Before(until); {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				_, err := c.Send(ctx, Request{Signal: otlp.Traces, Bytes: quick})
				cancel()
				if e := new(Error); !errors.As(err, &e) || e.Code != codes.DeadlineExceeded && e.Code != codes.Canceled {
					t.Errorf("%s: got %v", compression, err)
				}
			}
		})
	}
	all.Wait()
}

// charged returns a batch of the request and the budget that pays for it.
func charged(t *testing.T, request []byte, limit int64) (*pipeline.Batch, *admission.Budget) {
	t.Helper()
	budget := admission.New(admission.Config{Bytes: limit, MaxWait: -1})
	ticket, err := budget.Acquire(t.Context(), "client", len(request))
	if err != nil {
		t.Fatal(err)
	}
	b, err := pipeline.NewBatch(otlp.Traces, request[:len(request):len(request)], nil)
	if err != nil {
		t.Fatal(err)
	}
	b.Hold(ticket)
	return b, budget
}

// The copies that clients make of a request are charged to its ticket while the request
// is in flight, and a request whose copy has no room is refused, to be sent again.
func TestCopiesAreCharged(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3000, 20_000, 300_000} {
		request := noise(n)
		for _, compression := range []config.Compression{"none", "gzip", "zstd", "snappy"} {
			arrived, release := make(chan struct{}, 1), make(chan struct{})
			answer := func() { arrived <- struct{}{}; <-release }
			d := startGRPC(t, func(context.Context) ([]byte, error) { answer(); return nil, nil })
			web := startHTTP(t, func(http.ResponseWriter, *http.Request) { answer() })
			for transport, c := range map[string]Sender{
				"grpc": newGRPC(t, d.addr, func(cfg *config.GRPCClient) { cfg.Compression = compression }),
				"http": newHTTP(t, web.URL, func(cfg *config.HTTPClient, _ Endpoints) { cfg.Compression = compression }),
			} {
				copied := compression != "none" || transport == "http" && n <= ownBytes
				b, budget := charged(t, request, 16<<20)
				sent := make(chan error, 1)
				go func() { sent <- NewConsumer(c).Consume(t.Context(), b) }()
				<-arrived
				want := int64(len(request))
				if transport == "http" && copied { // over gRPC the bytes are released once they are sent
					want += int64(len(request)) / 2 // text compresses to more than half here
				}
				if used := budget.Stats().Peak; used < want || !copied && used != want {
					t.Errorf("%s, %s, %d bytes: %d bytes were charged, want %d", transport, compression, n, used, want)
				}
				release <- struct{}{}
				if err := <-sent; err != nil {
					t.Errorf("%s, %s: %v", transport, compression, err)
				}
				b.Release()
				testkit.Eventually(t, "all bytes are free again", func() bool { return budget.Stats().Used == 0 })

				b, budget = charged(t, request, int64(len(request))+1000)
				if !copied {
					b.Release()
					continue
				}
				err := NewConsumer(c).Consume(t.Context(), b)
				if e := pipeline.Classify(err); e == nil || e.Kind == pipeline.Partial {
					t.Errorf("%s, %s, %d bytes without room for a copy: %v", transport, compression, n, err)
				}
				b.Release()
				if used := budget.Stats().Used; used != 0 {
					t.Errorf("%s, %s: %d bytes are not free after a refusal", transport, compression, used)
				}
			}
			close(release)
		}
	}
}

// A transport that does not get on with what was given up gets no more.
func TestGivenUpAreLimited(t *testing.T) {
	t.Parallel()
	peer := testkit.SilentPeer{HTTP2: true, Window: 1<<31 - 1}
	c := newGRPC(t, peer.Start(t), nil)
	c.conns.closed = true // nothing is checked
	for range maxGivenUp {
		c.conns.gaveUp()
	}
	_, err := send(t, c, otlp.Traces, text(5000))
	if e := asError(t, err); !e.Retryable || !e.Throttled || e.RetryAfter == 0 || !errors.Is(err, errNotReading) {
		t.Errorf("got %+v", e)
	}
	c.conns.inspect(time.Now()) // no connection is in a Write
	if e := c.conns.full(); e != nil {
		t.Errorf("still refused: %v", e)
	}
}
