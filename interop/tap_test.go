package interop

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"

	"github.com/penstock-telemetry/penstock/otlp"
)

// tap stands between a client and penstock and remembers each request's bytes,
// decompressed. Over HTTP the body goes on as it came; over gRPC it is encoded again.
type tap struct {
	mu      sync.Mutex
	sent    map[otlp.Signal][]string
	gzipped map[otlp.Signal]int // HTTP bodies that came compressed

	grpc, http string // where it listens
}

func (p *tap) record(s otlp.Signal, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent[s] = append(p.sent[s], string(b))
}

// recordHTTP records what a body is once its coding is undone.
func (p *tap) recordHTTP(t *testing.T, s otlp.Signal, encoding string, b []byte) {
	switch encoding {
	case "":
	case "gzip":
		z, err := gzip.NewReader(bytes.NewReader(b))
		if err == nil {
			b, err = io.ReadAll(z)
		}
		if err != nil {
			t.Errorf("%s: the client sent a gzip body that cannot be read: %v", s, err)
			return
		}
		p.mu.Lock()
		p.gzipped[s]++
		p.mu.Unlock()
	default:
		t.Errorf("%s: the client sent a body in the coding %q", s, encoding)
		return
	}
	p.record(s, b)
}

// newTap returns a tap that listens. The options are for what goes on by gRPC.
func newTap(t *testing.T, grpcTarget, httpTarget string, forward ...grpc.CallOption) *tap {
	t.Helper()
	p := &tap{sent: map[otlp.Signal][]string{}, gzipped: map[otlp.Signal]int{}}
	p.serveGRPC(t, grpcTarget, forward)
	p.serveHTTP(t, httpTarget)
	return p
}

// raw is a message that is its bytes.
type raw struct{ b []byte }

type rawCodec struct{}

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.(*raw).b)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	v.(*raw).b = data.Materialize()
	return nil
}

func (rawCodec) Name() string { return "proto" }

func (p *tap) serveGRPC(t *testing.T, target string, options []grpc.CallOption) {
	t.Helper()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(append(options, grpc.ForceCodecV2(rawCodec{}))...))
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxRecvMsgSize(64<<20))
	for _, s := range otlp.Signals() {
		forward := func(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var in, out raw
			if err := dec(&in); err != nil {
				return nil, err
			}
			p.record(s, in.b)
			md, _ := metadata.FromIncomingContext(ctx)
			return &out, conn.Invoke(metadata.NewOutgoingContext(ctx, md), s.Spec().Method, &in, &out)
		}
		srv.RegisterService(&grpc.ServiceDesc{
			ServiceName: s.Spec().Service, HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: forward}},
		}, nil)
	}
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(lis) })
	t.Cleanup(func() { srv.Stop(); conn.Close(); wg.Wait() })
	p.grpc = lis.Addr().String()
}

func (p *tap) serveHTTP(t *testing.T, target string) {
	t.Helper()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: target})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for _, s := range otlp.Signals() {
			if s.Spec().Path == r.URL.Path {
				p.recordHTTP(t, s, r.Header.Get("Content-Encoding"), b)
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.http = srv.Listener.Addr().String()
}
