package otlpclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/test/tlstest"
	"github.com/penstock-telemetry/penstock/otlp"
)

// arrival is what a destination saw of one request.
type arrival struct {
	method, encoding string
	body             []byte
	md               metadata.MD
}

// grpcDest is a grpc-go server that takes any method and hands over bytes.
type grpcDest struct {
	addr     string
	server   *grpc.Server
	arrivals chan arrival
}

type rawServerCodec struct{}

func (rawServerCodec) Name() string { return "proto" }
func (rawServerCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}
func (rawServerCodec) Unmarshal(b mem.BufferSlice, v any) error {
	*v.(*[]byte) = b.Materialize()
	return nil
}

// headerTap notes the encoding, which gRPC hides from the handler.
type headerTap struct{}

type tapKey struct{}

func (headerTap) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, tapKey{}, new(string))
}
func (headerTap) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if h, ok := s.(*stats.InHeader); ok {
		*ctx.Value(tapKey{}).(*string) = h.Compression
	}
}
func (headerTap) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (headerTap) HandleConn(context.Context, stats.ConnStats)                       {}

// startGRPC starts a destination. answer may be nil: it takes everything.
func startGRPC(t testing.TB, answer func(context.Context) ([]byte, error), opts ...grpc.ServerOption) *grpcDest {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serveGRPC(t, lis, answer, opts...)
}

func serveGRPC(t testing.TB, lis net.Listener, answer func(context.Context) ([]byte, error), opts ...grpc.ServerOption) *grpcDest {
	t.Helper()
	d := &grpcDest{addr: lis.Addr().String(), arrivals: make(chan arrival, 100)}
	opts = append([]grpc.ServerOption{grpc.MaxRecvMsgSize(64 << 20)}, opts...)
	opts = append(opts, grpc.ForceServerCodecV2(rawServerCodec{}), grpc.StatsHandler(headerTap{}),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			a := arrival{encoding: *s.Context().Value(tapKey{}).(*string)}
			a.method, _ = grpc.MethodFromServerStream(s)
			a.md, _ = metadata.FromIncomingContext(s.Context())
			if err := s.RecvMsg(&a.body); err != nil {
				return err
			}
			d.arrivals <- a
			if answer == nil {
				return s.SendMsg([]byte{})
			}
			b, err := answer(s.Context())
			if err != nil {
				return err
			}
			return s.SendMsg(b)
		}))
	d.server = grpc.NewServer(opts...)
	done := make(chan struct{})
	go func() { defer close(done); d.server.Serve(lis) }()
	t.Cleanup(func() { d.server.Stop(); <-done })
	return d
}

func newGRPC(t testing.TB, addr string, change func(*config.GRPCClient)) *GRPC {
	t.Helper()
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.Compression, cfg.TLS.Insecure = addr, config.NoCompression, true
	if change != nil {
		change(&cfg)
	}
	c, err := NewGRPC(cfg, hangsAfter)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// send sends borrowed bytes and waits until they are given back.
func send(t testing.TB, c Sender, s otlp.Signal, b []byte) (Answer, error) {
	t.Helper()
	l := newCheckedBytes(b)
	a, err := c.Send(context.Background(), Request{Signal: s, Bytes: l.bytes, Done: l.release})
	select {
	case <-l.done:
	case <-time.After(hangsAfter):
		t.Error("the bytes were not given back")
	}
	return a, err
}

func asError(t testing.TB, err error) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e
}

func TestGRPCDeliversBytes(t *testing.T) {
	t.Parallel()
	d := startGRPC(t, nil)
	for _, compression := range []config.Compression{"", config.NoCompression, config.Gzip, config.Zstd} {
		c := newGRPC(t, d.addr, func(cfg *config.GRPCClient) {
			cfg.Compression = compression
			cfg.Headers = config.Headers{{Name: "X-Tenant", Value: "a"}, {Name: "trace-bin", Value: "binary"}}
		})
		for _, s := range otlp.Signals() {
			for _, n := range []int{0, 1, 1024, 1025, 70_000, 600_000} {
				body := text(n)
				if a, err := send(t, c, s, body); err != nil || a != (Answer{}) {
					t.Fatalf("%s, %q, %d bytes: %+v, %v", s, compression, n, a, err)
				}
				got := <-d.arrivals
				if !bytes.Equal(got.body, body) {
					t.Errorf("%s, %q: %d bytes went out, %d others arrived", s, compression, n, len(got.body))
				}
				if n > 0 && got.encoding != compression.Encoding() {
					t.Errorf("arrived as %q, want %q", got.encoding, compression.Encoding())
				}
				if got.method != s.Spec().Method {
					t.Errorf("method %s, want %s", got.method, s.Spec().Method)
				}
				wantVersion := map[bool]string{true: "[1]", false: "[]"}[s == otlp.Profiles]
				if v := fmt.Sprint(got.md.Get("otlp-profiles-development-version")); v != wantVersion {
					t.Errorf("%s: profiles version %s, want %s", s, v, wantVersion)
				}
				for name, want := range map[string]string{"x-tenant": "a", "trace-bin": "binary", "content-type": "application/grpc+proto"} {
					if v := got.md.Get(name); len(v) != 1 || v[0] != want {
						t.Errorf("header %s: %q, want %q", name, v, want)
					}
				}
				if ua := got.md.Get("user-agent")[0]; !strings.HasPrefix(ua, "penstock/") {
					t.Errorf("user agent %q", ua)
				}
			}
		}
	}
}

func TestGRPCHeaders(t *testing.T) {
	t.Parallel()
	d := startGRPC(t, nil)
	c := newGRPC(t, d.addr, func(cfg *config.GRPCClient) {
		cfg.Headers = config.Headers{{Name: "User-Agent", Value: "mine/1"}, {Name: "a", Value: "static"}, {Name: "b", Value: "static"}}
		cfg.Authority = "backend.example"
	})
	for _, more := range []map[string]string{{"a": "own"}, nil} { // the first must not stay
		if _, err := c.Send(t.Context(), Request{Signal: otlp.Logs, Bytes: []byte("x"), Headers: more}); err != nil {
			t.Fatal(err)
		}
		md := (<-d.arrivals).md
		want := map[string]string{"a": "static", "b": "static", ":authority": "backend.example"}
		if more != nil {
			want["a"] = "own"
		}
		for name, w := range want {
			if v := md.Get(name); len(v) != 1 || v[0] != w {
				t.Errorf("header %s: %q, want %q", name, v, w)
			}
		}
		if ua := md.Get("user-agent")[0]; !strings.HasPrefix(ua, "mine/1") {
			t.Errorf("user agent %q", ua)
		}
	}
}

// Every code, with a wish for time and without (OTLP specification, table in
// "OTLP/gRPC Failures").
func TestGRPCCodes(t *testing.T) {
	t.Parallel()
	retryable := map[codes.Code]bool{
		codes.Canceled: true, codes.DeadlineExceeded: true, codes.Aborted: true, codes.OutOfRange: true,
		codes.Unavailable: true, codes.DataLoss: true,
	}
	for code := codes.Code(1); code <= 17; code++ {
		for _, delay := range []time.Duration{-1, 0, 7 * time.Second, 48 * time.Hour} { // -1: none
			d := startGRPC(t, func(context.Context) ([]byte, error) {
				st := status.New(code, "no thanks")
				if delay >= 0 {
					// A detail of a kind that nobody here knows comes first.
					st, _ = st.WithDetails(&errdetails.DebugInfo{Detail: "x"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
				}
				return nil, st.Err()
			})
			_, err := send(t, newGRPC(t, d.addr, nil), otlp.Metrics, []byte("x"))
			got := asError(t, err)
			want := Error{Code: code, Retryable: retryable[code]}
			if delay >= 0 && (retryable[code] || code == codes.ResourceExhausted) {
				want.Retryable, want.Throttled, want.RetryAfter = true, true, min(delay, time.Hour)
			}
			if got.Retryable != want.Retryable || got.Throttled != want.Throttled || got.RetryAfter != want.RetryAfter || got.Code != code {
				t.Errorf("%s, delay %s: got %+v, want %+v", code, delay, got, want)
			}
			if s := err.Error(); !strings.Contains(s, "send metrics to "+d.addr) || !strings.Contains(s, "no thanks") {
				t.Errorf("the error does not say what was done, or why it failed: %s", s)
			}
		}
	}
}

func TestGRPCAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body []byte
		want Answer
		warn bool
	}{
		"partial":    {partial(t, 3, "too old"), Answer{Rejected: 3, Message: "too old"}, false},
		"warning":    {partial(t, 0, "deprecated"), Answer{Message: "deprecated"}, false},
		"unreadable": {[]byte("thanks"), Answer{}, true},
	} {
		d := startGRPC(t, func(context.Context) ([]byte, error) { return c.body, nil })
		got, err := send(t, newGRPC(t, d.addr, nil), otlp.Traces, text(100))
		if err != nil || c.warn != (got.Warning != nil) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		got.Warning = nil
		if got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

// An answer of any size costs a bounded amount and fails.
func TestGRPCAnswerTooLarge(t *testing.T) {
	t.Parallel()
	d := startGRPC(t, func(context.Context) ([]byte, error) { return make([]byte, maxResponseBytes+1), nil })
	_, err := send(t, newGRPC(t, d.addr, nil), otlp.Traces, text(100))
	if e := asError(t, err); e.Retryable || e.Code != codes.ResourceExhausted {
		t.Errorf("body: %+v", e)
	}
	d = startGRPC(t, func(context.Context) ([]byte, error) {
		return nil, status.Error(codes.Unavailable, strings.Repeat("x", 10<<20))
	})
	_, err = send(t, newGRPC(t, d.addr, nil), otlp.Traces, text(100))
	if e := asError(t, err); len(e.Error()) > 2*maxHeaderBytes {
		t.Errorf("trailers: an error of %d bytes", len(e.Error()))
	}
}

func TestGRPCUnreachable(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	lis.Close()
	_, err = send(t, newGRPC(t, addr, nil), otlp.Traces, text(5000))
	if e := asError(t, err); !e.Retryable || e.Code != codes.Unavailable {
		t.Errorf("nobody listens: %+v", e)
	}
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.TLS.Insecure, cfg.WaitForReady = addr, true, true
	c, err := NewGRPC(cfg, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = send(t, c, otlp.Traces, text(5000))
	if e := asError(t, err); !e.Retryable || e.Code != codes.DeadlineExceeded {
		t.Errorf("nobody listens, waiting: %+v", e)
	}
}

func TestGRPCInvalidSignal(t *testing.T) {
	t.Parallel()
	_, err := send(t, newGRPC(t, "localhost:1", nil), 0, text(10))
	if e := asError(t, err); e.Retryable {
		t.Errorf("got %+v", e)
	}
}

func TestGRPCUnixSocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "otlp.sock")
	lis, err := net.Listen("unix", path)
	if err != nil {
		t.Skipf("this system has no unix sockets: %v", err)
	}
	d := serveGRPC(t, lis, nil)
	if _, err := send(t, newGRPC(t, "unix://"+path, nil), otlp.Traces, text(10)); err != nil {
		t.Fatal(err)
	}
	if got := <-d.arrivals; len(got.body) != 10 {
		t.Errorf("%d bytes arrived", len(got.body))
	}
}

func TestGRPCTLS(t *testing.T) {
	t.Parallel()
	ca, otherCA := tlstest.New(t), tlstest.New(t)
	cert, key := ca.Pair("client")
	plain := startGRPC(t, nil)
	secure := startGRPC(t, nil, grpc.Creds(credentials.NewTLS(ca.Server("127.0.0.1"))))
	mutualTLS := ca.Server("127.0.0.1")
	mutualTLS.ClientCAs, mutualTLS.ClientAuth = ca.Pool(), tls.RequireAndVerifyClientCert
	mutual := startGRPC(t, nil, grpc.Creds(credentials.NewTLS(mutualTLS)))
	named := startGRPC(t, nil, grpc.Creds(credentials.NewTLS(ca.Server("backend.example"))))

	trusting := config.ClientTLS{TLS: config.TLS{CAPem: config.Secret(ca.PEM)}}
	withCert := trusting
	withCert.CertPem, withCert.KeyPem = config.Secret(cert), config.Secret(key)
	withName := trusting
	withName.ServerName = "backend.example"
	for name, c := range map[string]struct {
		endpoint string
		tls      config.ClientTLS
		ok       bool
	}{
		"plain":                      {plain.addr, config.ClientTLS{Insecure: true}, true},
		"http:// is plain":           {"http://" + plain.addr, config.ClientTLS{}, true},
		"TLS by default":             {plain.addr, config.ClientTLS{}, false},
		"trusted":                    {secure.addr, trusting, true},
		"https:// over insecure":     {"https://" + secure.addr, config.ClientTLS{Insecure: true, TLS: trusting.TLS}, true},
		"https://, skip verify":      {"https://" + secure.addr, config.ClientTLS{Insecure: true, InsecureSkipVerify: true}, true},
		"https:// knows nobody":      {"https://" + secure.addr, config.ClientTLS{Insecure: true}, false},
		"wrong authority":            {secure.addr, config.ClientTLS{TLS: config.TLS{CAPem: config.Secret(otherCA.PEM)}}, false},
		"system's authorities only":  {secure.addr, config.ClientTLS{}, false},
		"insecure_skip_verify":       {secure.addr, config.ClientTLS{InsecureSkipVerify: true}, true},
		"wrong name":                 {named.addr, trusting, false},
		"server_name_override":       {named.addr, withName, true},
		"mutual":                     {mutual.addr, withCert, true},
		"mutual without certificate": {mutual.addr, trusting, false},
		"plain to TLS":               {secure.addr, config.ClientTLS{Insecure: true}, false},
	} {
		client := newGRPC(t, c.endpoint, func(cfg *config.GRPCClient) { cfg.TLS = c.tls })
		_, err := send(t, client, otlp.Logs, text(2000))
		if c.ok != (err == nil) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && !asError(t, err).Retryable {
			t.Errorf("%s: a connection that fails is not the data's fault: %v", name, err)
		}
	}
}

func TestGRPCRefusesConfig(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*config.GRPCClient){
		"the port is missing": func(c *config.GRPCClient) { c.Endpoint = "host" },
		"no such file":        func(c *config.GRPCClient) { c.TLS = config.ClientTLS{TLS: config.TLS{CAFile: "/gone"}} },
	} {
		cfg := config.DefaultGRPCClient()
		cfg.Endpoint = "host:1"
		change(&cfg)
		if _, err := NewGRPC(cfg, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// stall makes a destination whose handler reads nothing before the returned
// function is called: a large request stops at the flow control window.
func stall(t *testing.T) (*grpcDest, chan struct{}, func()) {
	t.Helper()
	entered, release := make(chan struct{}, 10), make(chan struct{})
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &grpcDest{addr: lis.Addr().String()}
	d.server = grpc.NewServer(grpc.ForceServerCodecV2(rawServerCodec{}), grpc.InitialWindowSize(64<<10), grpc.InitialConnWindowSize(64<<10),
		grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
			entered <- struct{}{}
			<-release
			return status.Error(codes.Unavailable, "was stalled")
		}))
	done := make(chan struct{})
	go func() { defer close(done); d.server.Serve(lis) }()
	var once bool
	open := func() {
		if !once {
			once = true
			close(release)
		}
	}
	t.Cleanup(func() { open(); d.server.Stop(); <-done })
	return d, entered, open
}

// A request that is given up on while it is being sent: the answer comes at
// once, the bytes are given back when gRPC has let go of them. Releasing them
// overwrites them, so a reader that is left is seen by the race detector.
func TestGRPCGivesUpWhileSending(t *testing.T) {
	t.Parallel()
	d, entered, _ := stall(t)
	c := newGRPC(t, d.addr, nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	l := newCheckedBytes(text(5 << 20))
	_, err := c.Send(ctx, Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
	if e := asError(t, err); !e.Retryable || e.Code != codes.Canceled {
		t.Errorf("canceled: %+v", e)
	}
	l.mustBeDone(t)
}

// The same with a destination that reads as fast as it can: gRPC is in the
// middle of the bytes when the caller leaves.
func TestGRPCGivesUpAtAnyTime(t *testing.T) {
	t.Parallel()
	d := startDiscarding(t)
	c := newGRPC(t, d, nil)
	body := text(4 << 20)
	if _, err := send(t, c, otlp.Traces, body); err != nil { // connects
		t.Fatal(err)
	}
	for i := range 40 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
		l := newCheckedBytes(body)
		_, err := c.Send(ctx, Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
		cancel()
		if err != nil && !asError(t, err).Retryable {
			t.Fatal(err)
		}
		l.mustBeDone(t)
	}
}

func TestGRPCTimeout(t *testing.T) {
	t.Parallel()
	d, _, _ := stall(t)
	cfg := config.DefaultGRPCClient()
	cfg.Endpoint, cfg.TLS.Insecure, cfg.Compression = d.addr, true, "none"
	c, err := NewGRPC(cfg, 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		l := newCheckedBytes(text(1 << 20))
		_, err = c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
		if e := asError(t, err); !e.Retryable || e.Code != codes.DeadlineExceeded {
			t.Errorf("got %+v", e)
		}
		l.mustBeDone(t)
	}
}

// The connection breaks while a request is half sent.
func TestGRPCConnectionBreaks(t *testing.T) {
	t.Parallel()
	d, entered, open := stall(t)
	c := newGRPC(t, d.addr, nil)
	var loans []*checkedBytes
	errs := make(chan error)
	for range 4 {
		l := newCheckedBytes(text(2 << 20))
		loans = append(loans, l)
		go func() {
			_, err := c.Send(context.Background(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
			errs <- err
		}()
	}
	<-entered
	go d.server.Stop() // closes the connections; waits for the handlers
	for range loans {
		if e := asError(t, <-errs); !e.Retryable || e.Code != codes.Unavailable {
			t.Errorf("got %+v", e)
		}
	}
	open()
	for _, l := range loans {
		l.mustBeDone(t)
	}
}

// Requests in progress fail after Close.
func TestGRPCClose(t *testing.T) {
	t.Parallel()
	d, entered, _ := stall(t)
	c := newGRPC(t, d.addr, nil)
	l := newCheckedBytes(text(100))
	go func() { <-entered; c.Close() }()
	_, err := c.Send(t.Context(), Request{Signal: otlp.Traces, Bytes: l.bytes, Done: l.release})
	if e := asError(t, err); !e.Retryable {
		t.Errorf("got %+v", e)
	}
	l.mustBeDone(t)
}

// A destination may restart on the same address.
func TestGRPCReconnects(t *testing.T) {
	t.Parallel()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := lis.Addr().String()
	first := serveGRPC(t, lis, nil)
	c := newGRPC(t, addr, func(cfg *config.GRPCClient) { cfg.WaitForReady = true })
	if _, err := send(t, c, otlp.Traces, text(10)); err != nil {
		t.Fatal(err)
	}
	first.server.Stop()
	if lis, err = net.Listen("tcp", addr); err != nil {
		t.Skipf("another program took the port meanwhile: %v", err)
	}
	serveGRPC(t, lis, nil)
	// A request may still meet the old connection; it then says "send again".
	for {
		_, err := send(t, c, otlp.Traces, text(10))
		if err == nil {
			break
		}
		if e := asError(t, err); !e.Retryable {
			t.Fatalf("got %+v", e)
		}
	}
}

// The request's own memory is sent: for an uncompressed request nothing of
// its size is allocated. Not parallel: it measures.
func TestGRPCDoesNotCopy(t *testing.T) {
	o := &outgoing{bytes: text(1 << 20), lease: &lease{}}
	b, err := rawCodec{}.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != 1 || &b[0].ReadOnlyData()[0] != &o.bytes[0] {
		t.Error("the codec copies the request")
	}
	b.Free()
	if !o.lease.ended.Load() {
		t.Error("Done is not called after the last reader is gone")
	}
}

// BenchmarkGRPCSend compares with a bare grpc client that sends the same bytes.
func BenchmarkGRPCSend(b *testing.B) {
	for _, n := range []int{5800, 437_000} {
		d := startDiscarding(b)
		body := text(n)
		for _, compression := range []config.Compression{"none", "gzip", "zstd"} {
			b.Run(fmt.Sprintf("%d/%s", n, compression), func(b *testing.B) {
				c := newGRPC(b, d, func(cfg *config.GRPCClient) { cfg.Compression = compression })
				b.ReportAllocs()
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := c.Send(b.Context(), Request{Signal: otlp.Traces, Bytes: body}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("%d/bare", n), func(b *testing.B) {
			conn, err := grpc.NewClient(d, dialOptionsPlain()...)
			if err != nil {
				b.Fatal(err)
			}
			defer conn.Close()
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				var out []byte
				if err := conn.Invoke(b.Context(), otlp.Traces.Spec().Method, body, &out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

var _ io.Closer = (*GRPC)(nil)
