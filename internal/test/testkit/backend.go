package testkit

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// BackendConfig configures a Backend. The zero value is plain text.
type BackendConfig struct {
	// TLS makes both servers use TLS, with a certificate that Backend.CA verifies.
	TLS bool
	// CountOnly drops the bytes without checking them, for tests under load. Items
	// stays 0.
	CountOnly bool
	// Took gets each request that is accepted, before the answer is sent. With it the
	// Backend keeps none, for tests that run long.
	Took func(Call)
}

// Call is one request that reached a Backend.
type Call struct {
	Signal otlp.Signal
	// Transport is "grpc" or "http". Encoding is the compression of the request, ""
	// if there was none.
	Transport, Encoding string
	// Header holds the request's headers, names in lower case.
	Header map[string][]string
	// Peer is the client's address, which tells connections apart.
	Peer string
	// Bytes is the request, decompressed; nil if CountOnly.
	Bytes []byte
	// Length is the number of bytes, decompressed. Items is the count of Check: 0 if
	// it refuses the bytes, or if CountOnly.
	Length, Items int
	// Answer is what the backend answered.
	Answer Answer
}

// Backend is an OTLP server on two ports of the loopback interface, one for gRPC
// and one for HTTP. It keeps what it receives and answers as the test says.
type Backend struct {
	countOnly bool
	took      func(Call)
	cert      *tls.Certificate
	ca        []byte

	mu       sync.Mutex
	calls    []Call
	arrived  int
	script   []Answer
	respond  func(Call) Answer
	grpcAddr string
	httpAddr string
	servers  *servers // nil while stopped
	changed  signal
}

// servers is what runs while a Backend is started.
type servers struct {
	grpc  *grpc.Server
	http  *http.Server
	ended context.Context // the end of delays
	end   context.CancelFunc
	wg    sync.WaitGroup
}

// NewBackend starts a backend. The end of the test stops it.
func NewBackend(t testing.TB, cfg BackendConfig) *Backend {
	t.Helper()
	b := &Backend{countOnly: cfg.CountOnly, took: cfg.Took, grpcAddr: "127.0.0.1:0", httpAddr: "127.0.0.1:0"}
	if cfg.TLS {
		authority := tlstest.New(t)
		b.cert, b.ca = &authority.Server("127.0.0.1").Certificates[0], authority.PEM
	}
	b.Start(t)
	t.Cleanup(b.Stop)
	return b
}

// Start starts the backend again after Stop, at the same addresses.
func (b *Backend) Start(t testing.TB) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.servers != nil {
		return
	}
	onGRPC, err := net.Listen("tcp", b.grpcAddr)
	if err != nil {
		t.Fatalf("start the backend's gRPC server: %v", err)
	}
	onHTTP, err := net.Listen("tcp", b.httpAddr)
	if err != nil {
		onGRPC.Close()
		t.Fatalf("start the backend's HTTP server: %v", err)
	}
	b.grpcAddr, b.httpAddr = onGRPC.Addr().String(), onHTTP.Addr().String()
	s := &servers{http: &http.Server{Handler: httpHandler{b}, ErrorLog: log.New(io.Discard, "", 0)}}
	s.ended, s.end = context.WithCancel(context.Background())
	var creds []grpc.ServerOption
	if b.cert != nil {
		creds = append(creds, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{*b.cert}})))
		s.http.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*b.cert}}
	}
	conns := &connections{Listener: onGRPC}
	s.grpc = newGRPCServer(b, conns, creds...)
	b.servers = s
	s.wg.Go(func() { _ = s.grpc.Serve(conns) })
	s.wg.Go(func() {
		if s.http.TLSConfig != nil {
			_ = s.http.ServeTLS(onHTTP, "", "")
			return
		}
		_ = s.http.Serve(onHTTP)
	})
}

// Stop breaks all connections and waits for the servers. It may be called twice.
func (b *Backend) Stop() {
	b.mu.Lock()
	s := b.servers
	b.servers = nil
	b.mu.Unlock()
	if s == nil {
		return
	}
	s.end()
	s.grpc.Stop()
	s.http.Close()
	s.wg.Wait()
}

// GRPCEndpoint returns host:port.
func (b *Backend) GRPCEndpoint() string { return b.grpcAddr }

// HTTPEndpoint returns the base URL.
func (b *Backend) HTTPEndpoint() string {
	if b.cert != nil {
		return "https://" + b.httpAddr
	}
	return "http://" + b.httpAddr
}

// CA returns the certificate, in PEM, that verifies the backend's own; nil
// without TLS.
func (b *Backend) CA() []byte { return b.ca }

// Script gives the answers to the next requests, one each, in order of arrival.
// They come before what Respond says.
func (b *Backend) Script(answers ...Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.script = append(b.script, answers...)
}

// Respond makes f answer from now on; nil accepts everything. Several requests
// may call f at a time.
func (b *Backend) Respond(f func(Call) Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.respond = f
}

// receive records a request and returns the answer once its delay is over.
func (b *Backend) receive(ctx context.Context, c Call, request []byte) Answer {
	c.Length = len(request)
	if !b.countOnly {
		c.Bytes = bytes.Clone(request)
		if items, err := (otlp.Limits{Depth: otlp.MaxDepth}).Check(c.Signal, request); err == nil {
			c.Items = items
		}
	}
	b.mu.Lock()
	b.arrived++
	respond := b.respond
	var ended context.Context
	if b.servers != nil {
		ended = b.servers.ended
	}
	scripted := len(b.script) > 0
	if scripted {
		c.Answer, b.script = b.script[0], b.script[1:]
	}
	b.mu.Unlock()
	b.changed.raise()
	if !scripted && respond != nil {
		c.Answer = respond(c)
	}
	if ended == nil { // stopped meanwhile
		c.Answer = Answer{HangUp: true}
	} else if c.Answer.Delay > 0 {
		late := time.NewTimer(c.Answer.Delay)
		defer late.Stop()
		select {
		case <-late.C:
		case <-ctx.Done():
			c.Answer.HangUp = true // the client is gone
		case <-ended.Done():
			c.Answer.HangUp = true
		}
	}
	if b.took != nil {
		if c.Answer.Kept() {
			b.took(c)
		}
		return c.Answer
	}
	b.mu.Lock()
	b.calls = append(b.calls, c)
	b.mu.Unlock()
	b.changed.raise()
	return c.Answer
}

// Calls returns all requests, refused ones included, in the order in which they
// were answered.
func (b *Backend) Calls() []Call {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Call(nil), b.calls...)
}

// Requests returns the bytes of the requests of signal s that were accepted.
func (b *Backend) Requests(s otlp.Signal) (of [][]byte) {
	for _, c := range b.Calls() {
		if c.Signal == s && c.Answer.Kept() {
			of = append(of, c.Bytes)
		}
	}
	return of
}

// Items returns how many items of signal s were accepted.
func (b *Backend) Items(s otlp.Signal) (n int) {
	for _, c := range b.Calls() {
		if c.Signal == s && c.Answer.Kept() {
			n += c.Items - int(c.Answer.Rejected)
		}
	}
	return n
}

// Wait waits until at least n items of signal s were accepted.
func (b *Backend) Wait(t testing.TB, s otlp.Signal, n int) {
	t.Helper()
	wait(t, &b.changed, func() bool { return b.Items(s) >= n }, func() {
		t.Fatalf("the backend has %d %s, not the %d waited for", b.Items(s), s.Spec().Item, n)
	})
}

// WaitArrived waits until at least n requests of any signal have arrived, answered
// or not.
func (b *Backend) WaitArrived(t testing.TB, n int) {
	t.Helper()
	arrived := func() int {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.arrived
	}
	wait(t, &b.changed, func() bool { return arrived() >= n }, func() {
		t.Fatalf("%d requests have arrived at the backend, not the %d waited for", arrived(), n)
	})
}
