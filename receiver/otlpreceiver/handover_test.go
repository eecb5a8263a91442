package otlpreceiver

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

var (
	_ component.Retirer = (*Receiver)(nil)
	_ component.Rewirer = (*Receiver)(nil)
	_ component.Settler = (*Receiver)(nil)
)

// handovers is how often each receiver is replaced under load.
const handovers = 220

// itemCount counts items.
type itemCount struct{ items atomic.Int64 }

func (c *itemCount) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (c *itemCount) Consume(_ context.Context, b *pipeline.Batch) error {
	c.items.Add(int64(b.Items()))
	return nil
}

// load is clients that send requests of one item all the time, each as long as stop is
// not set.
type load struct {
	t    *testing.T
	stop atomic.Bool
	sent atomic.Int64
	each []*atomic.Int64 // of each client
	all  sync.WaitGroup
}

// allSent reports whether each client has sent n requests since then.
func (l *load) allSent(n int64, then []int64) bool {
	for i, now := range l.now() {
		if now < then[i]+n {
			return false
		}
	}
	return true
}

// now returns how many requests each client has sent.
func (l *load) now() (all []int64) {
	for _, n := range l.each {
		all = append(all, n.Load())
	}
	return all
}

// run calls send until it fails or the load ends.
func (l *load) run(name string, send func() error) {
	own := &atomic.Int64{}
	l.each = append(l.each, own)
	l.all.Go(func() {
		for !l.stop.Load() {
			if err := send(); err != nil {
				l.t.Errorf("%s after %d requests of all: %v", name, l.sent.Load(), err)
				return
			}
			l.sent.Add(1)
			own.Add(1)
		}
	})
}

func (l *load) end() {
	l.stop.Store(true)
	l.all.Wait()
}

// dialer connects to an endpoint whatever the address is that a client asks for.
type dialer struct{ network, address string }

func (d dialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, d.network, d.address)
}

func dialerOf(a net.Addr) dialer { return dialer{a.Network(), a.String()} }

// grpcLoad is n connections with two requests at a time on each. secure may be nil.
func (l *load) grpcLoad(d dialer, secure *tls.Config, n int) {
	creds := insecure.NewCredentials()
	if secure != nil {
		creds = credentials.NewTLS(secure.Clone())
	}
	for range n {
		conn, err := grpc.NewClient("passthrough:///127.0.0.1:1", grpc.WithTransportCredentials(creds),
			grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return d.dial(ctx, "", "") }))
		if err != nil {
			l.t.Fatal(err)
		}
		l.t.Cleanup(func() { _ = conn.Close() })
		body := request(otlp.Logs, 1)
		for range 2 {
			l.run("gRPC", func() error {
				return conn.Invoke(context.Background(), otlp.Logs.Spec().Method, body, new([]byte), grpc.ForceCodecV2(clientCodec{}))
			})
		}
	}
}

// httpLoad is net/http's client, with n requests at a time.
func (l *load) httpLoad(d dialer, secure *tls.Config, http2 bool, n int) {
	tr := &http.Transport{DialContext: d.dial, MaxIdleConnsPerHost: n, Protocols: new(http.Protocols)}
	scheme := "http"
	if secure != nil {
		scheme, tr.TLSClientConfig = "https", secure.Clone()
	}
	tr.Protocols.SetHTTP1(!http2)
	tr.Protocols.SetHTTP2(http2)
	tr.Protocols.SetUnencryptedHTTP2(http2 && secure == nil)
	l.t.Cleanup(tr.CloseIdleConnections)
	body := request(otlp.Logs, 1)
	for range n {
		l.run(fmt.Sprintf("HTTP, version 2: %v", http2), func() error {
			resp, err := (&http.Client{Transport: tr}).Post(scheme+"://127.0.0.1/v1/logs", "application/x-protobuf", bytes.NewReader(body))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
			return err
		})
	}
}

// rawLoad is HTTP/1 connections that end only when a response says so: a connection that
// the server closes is an error.
func (l *load) rawLoad(d dialer, n int) {
	body := request(otlp.Logs, 1)
	head := fmt.Sprintf("POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n", len(body))
	for range n {
		var conn net.Conn
		var from *bufio.Reader
		l.t.Cleanup(func() {
			if conn != nil {
				_ = conn.Close()
			}
		})
		l.run("raw HTTP/1", func() (err error) {
			if conn == nil {
				if conn, err = d.dial(context.Background(), "", ""); err != nil {
					return err
				}
				from = bufio.NewReader(conn)
			}
			if _, err = conn.Write(append([]byte(head), body...)); err != nil {
				return err
			}
			resp, err := http.ReadResponse(from, nil)
			if err != nil {
				return err
			}
			if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
				err = errors.New(resp.Status)
			}
			if resp.Close {
				_ = conn.Close()
				conn = nil
			}
			return err
		})
	}
}

// replacing is a receiver that is replaced by others with the same endpoints, as a service
// does it.
type replacing struct {
	t        *testing.T
	all      config.Listeners
	now      *Receiver
	sink     itemCount
	meter    *testkit.Meter
	retiring sync.WaitGroup
}

func (r *replacing) start(cfg Config) *Receiver {
	r.t.Helper()
	next, err := New(cfg, component.Settings{ID: "otlp", Meter: r.meter})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := next.RegisterAll(&r.sink); err != nil {
		r.t.Fatal(err)
	}
	if err := next.Start(config.WithListeners(context.Background(), &r.all)); err != nil {
		r.t.Fatal(err)
	}
	return next
}

// replace starts the next receiver and retires the one before, without waiting for that.
func (r *replacing) replace(cfg Config) {
	r.t.Helper()
	old := r.now
	r.all.Begin("receivers.otlp")
	r.now = r.start(cfg)
	r.all.End()
	r.retiring.Go(func() { r.retire(old) })
}

func (r *replacing) retire(old *Receiver) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := old.Retire(ctx); err != nil {
		r.t.Error(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel() // after Retire there is nothing to wait for
	if err := old.Shutdown(ended); err != nil {
		r.t.Error(err)
	}
}

// end shuts the last receiver down.
func (r *replacing) end() {
	r.retiring.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.now.Shutdown(ctx); err != nil {
		r.t.Error(err)
	}
}

// openFiles returns how many files the process has open; 0 where that is not known.
func openFiles() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

// Receivers with other settings take the listeners over, hundreds of times under load. No
// request fails, no connection is refused, none is answered twice, and nothing is left.
func TestHandoverUnderLoad(t *testing.T) {
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	withTLS := func(c *ServerConfig) {
		c.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
	}
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	unixConfig := onePortConfig("unix", filepath.Join(dir, "g"), nil)
	unixConfig.Protocols.HTTP.Endpoint = filepath.Join(dir, "h")
	for _, tt := range []struct {
		name   string
		cfg    Config
		secure bool
	}{
		{"two ports", testConfig(), false},
		{"one port", onePortConfig("tcp", freePort(t), nil), false},
		{"TLS", onePortConfig("tcp", "127.0.0.1:0", withTLS), true},
		{"TLS on one port", onePortConfig("tcp", freePort(t), withTLS), true},
		{"unix", unixConfig, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := openFiles()
			t.Cleanup(func() { // after those of the clients
				testkit.Eventually(t, "no more files are open than before", func() bool { return openFiles() <= before })
			})
			r := &replacing{t: t, meter: testkit.NewMeter()}
			r.now = r.start(tt.cfg)
			addresses := [2]string{r.now.GRPCAddr().String(), r.now.HTTPAddr().String()}
			l := &load{t: t}
			var secure *tls.Config
			if tt.secure {
				secure = &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
			}
			l.grpcLoad(dialerOf(r.now.GRPCAddr()), secure, 3)
			l.httpLoad(dialerOf(r.now.HTTPAddr()), secure, false, 3)
			l.httpLoad(dialerOf(r.now.HTTPAddr()), secure, true, 2)
			if !tt.secure {
				l.rawLoad(dialerOf(r.now.HTTPAddr()), 3)
			}
			times := handovers
			if tt.cfg.OnePort() {
				times /= 4 // each takes longer, see below
			}
			for i := range times {
				cfg := tt.cfg
				g, h := *cfg.Protocols.GRPC, *cfg.Protocols.HTTP
				g.MaxRecvMsgSizeMiB, h.MaxRequestBodySize = 1+i%3, int64(1+i%3)<<20
				h.IdleTimeout = time.Duration(10+i%2) * time.Minute
				cfg.Protocols.GRPC, cfg.Protocols.HTTP = &g, &h
				seen, then := l.sent.Load(), l.now()
				r.replace(cfg)
				if now := [2]string{r.now.GRPCAddr().String(), r.now.HTTPAddr().String()}; now != addresses {
					t.Fatalf("listens on %s, expected %s", now, addresses)
				}
				testkit.Eventually(t, "requests are answered", func() bool {
					if tt.cfg.OnePort() { // gRPC repeats a call once, so that it must not meet two GOAWAYs of net/http
						return t.Failed() || l.allSent(3, then)
					}
					return t.Failed() || l.sent.Load() > seen+5
				})
			}
			l.end()
			r.end()
			if sent, got := l.sent.Load(), r.sink.items.Load(); sent != got {
				t.Errorf("%d requests were answered, %d came in", sent, got)
			}
			t.Logf("%d requests in %d handovers", l.sent.Load(), times)
			if n := r.meter.Sum(t, "otelcol_receiver_active_connections"); n != 0 {
				t.Errorf("the metric has %d open connections at the end", n)
			}
		})
	}
}

// While one protocol moves between a plaintext port and one with TLS, the other one fails
// no request, and each new endpoint is served at once.
func TestHandoverOfOneProtocol(t *testing.T) {
	t.Parallel()
	ca := tlstest.New(t)
	cert, key := ca.Pair("127.0.0.1")
	r := &replacing{t: t, meter: testkit.NewMeter()}
	r.now = r.start(testConfig())
	l := &load{t: t}
	l.grpcLoad(dialerOf(r.now.GRPCAddr()), nil, 3)
	at := [2]string{freePort(t), freePort(t)}
	for i := range 40 {
		cfg := testConfig()
		cfg.Protocols.HTTP.Endpoint = at[i%2]
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}}
		scheme := "http"
		if i%2 == 1 {
			scheme = "https"
			cfg.Protocols.HTTP.TLS = &config.ServerTLS{TLS: config.TLS{CertPem: config.Secret(cert), KeyPem: config.Secret(key)}}
		}
		r.replace(cfg)
		resp, err := (&http.Client{Transport: tr}).Post(scheme+"://"+at[i%2]+"/v1/logs", "application/x-protobuf", bytes.NewReader(request(otlp.Logs, 1)))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		tr.CloseIdleConnections()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", scheme, resp.Status)
		}
		seen := l.sent.Load()
		testkit.Eventually(t, "requests are answered", func() bool { return t.Failed() || l.sent.Load() > seen+5 })
		r.retiring.Wait() // the address is used again
	}
	l.end()
	r.end()
}

// A signal whose pipeline goes is answered as one that never had one, and is taken again
// when it comes back; a request that has begun is not affected.
func TestRewire(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	only := func(signals ...otlp.Signal) map[otlp.Signal]pipeline.Consumer {
		next := map[otlp.Signal]pipeline.Consumer{}
		for _, s := range signals {
			next[s] = r.sink
		}
		return next
	}
	for _, takes := range [][]otlp.Signal{{otlp.Logs}, {otlp.Traces, otlp.Profiles}, nil, {otlp.Traces, otlp.Metrics, otlp.Logs, otlp.Profiles}} {
		if err := r.Rewire(only(takes...)); err != nil {
			t.Fatal(err)
		}
		for _, via := range testTransports {
			for _, s := range otlp.Signals() {
				_, want := only(takes...)[s]
				a := via.send(r, s, "", request(s, 1))
				if a.ok() != want || !want && (a.status.Code != int32(codes.Unimplemented) || via.name == "http" && a.http != http.StatusNotFound) {
					t.Errorf("%s %s with pipelines of %v: %v", via.name, s, takes, a.status)
				}
			}
		}
	}
	if err := r.Rewire(map[otlp.Signal]pipeline.Consumer{otlp.Logs: nil}); err == nil {
		t.Error("a consumer that is nil: expected an error")
	}
	if err := r.Settle(t.Context()); err != nil {
		t.Error(err)
	}
}

// rawConn is a connection of HTTP/1 to a receiver.
type rawConn struct {
	net.Conn
	from *bufio.Reader
}

func openRaw(t *testing.T, a net.Addr) *rawConn {
	t.Helper()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &rawConn{c, bufio.NewReader(c)}
}

// post sends a request and returns the response.
func (c *rawConn) post(t *testing.T) *http.Response {
	t.Helper()
	body := request(otlp.Logs, 1)
	if _, err := fmt.Fprintf(c, "POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-protobuf\r\nContent-Length: %d\r\n\r\n%s", len(body), body); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.from, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp
}

// A connection that was idle when the receiver was retired has one more request, whose
// response ends it. One on which nothing comes is closed after a while.
func TestRetireIdle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		idle time.Duration
		ends bool // by a request
	}{
		{"a request comes", time.Hour, true}, {"no request comes", 20 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, testConfig(), setup{pace: func(p *frontend.Pace) { p.RetireIdle = tt.idle }})
			first, second := openRaw(t, r.HTTPAddr()), openRaw(t, r.HTTPAddr())
			for _, c := range []*rawConn{first, second} {
				if resp := c.post(t); resp.StatusCode != http.StatusOK || resp.Close {
					t.Fatalf("%s, the last one: %v", resp.Status, resp.Close)
				}
			}
			retired := make(chan error, 1)
			go func() { retired <- r.Retire(context.Background()) }()
			testkit.Eventually(t, "the listener is closed", func() bool {
				c, err := net.Dial("tcp", r.HTTPAddr().String())
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			for _, c := range []*rawConn{first, second} {
				if tt.ends {
					if resp := c.post(t); resp.StatusCode != http.StatusOK || !resp.Close {
						t.Errorf("%s, the last one: %v", resp.Status, resp.Close)
					}
				}
				if _, err := c.from.ReadByte(); err != io.EOF {
					t.Errorf("the connection is open: %v", err)
				}
			}
			if err := <-retired; err != nil {
				t.Error(err)
			}
			if err := r.Healthy(); err != nil {
				t.Errorf("Healthy: %v", err)
			}
		})
	}
}

// Retire ends with its context, and says what is left for Shutdown.
func TestRetireEnds(t *testing.T) {
	t.Parallel()
	r := newRig(t, testConfig())
	openRaw(t, r.HTTPAddr()).post(t)
	if a := r.sendGRPC(otlp.Logs, "", request(otlp.Logs, 1)); !a.ok() {
		t.Fatal(a.status)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Retire(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "connections are still open") {
		t.Errorf("got %v", err)
	}
	if err := r.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	never, err := New(testConfig(), component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := never.Retire(t.Context()); err != nil {
		t.Errorf("a receiver that was not started: %v", err)
	}
}

// What two receivers of different services want is an error for the second, as it is
// without a registry.
func TestHandoverBetweenServices(t *testing.T) {
	t.Parallel()
	one, other := &replacing{t: t, meter: testkit.NewMeter()}, &replacing{t: t}
	one.now = one.start(testConfig())
	defer one.end()
	cfg := testConfig()
	cfg.Protocols.HTTP.Endpoint = one.now.HTTPAddr().String()
	second, err := New(cfg, component.Settings{ID: "otlp"})
	if err != nil {
		t.Fatal(err)
	}
	other.all.Begin()
	if err := second.Start(config.WithListeners(t.Context(), &other.all)); !errors.Is(err, syscall.EADDRINUSE) ||
		!strings.Contains(err.Error(), "another process, or another component of this configuration, uses this address") {
		t.Errorf("got %v", err)
	}
}
