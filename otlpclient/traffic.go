package otlpclient

import (
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
)

// Traffic counts the bytes of requests and answers. Several clients may share
// one. The zero value is ready.
//
// RPC is the messages before compression. Wire is what they are on the
// connection: compressed, and over gRPC with the 5 bytes in front of each
// message; headers are not counted. A request counts once it is written whole,
// whatever becomes of it then, and once more for each time a transport writes it
// again.
type Traffic struct {
	RPCOut, RPCIn, WireOut, WireIn atomic.Int64
}

// Option is an optional setting of NewGRPC and NewHTTP.
type Option func(*options)

type options struct {
	traffic     *Traffic // nil: nothing is counted
	called      func(context.Context, Call)
	compressors []Compressor
	passthrough config.Passthrough
}

// WithTraffic makes a client count in t, which may be nil.
func WithTraffic(t *Traffic) Option { return func(o *options) { o.traffic = t } }

// A Call is one exchange of a client with its destination: each redirect is one.
type Call struct {
	Signal otlp.Signal
	Took   time.Duration
	// Code is the gRPC status.
	Code codes.Code
	// URL is where a request over HTTP was sent; nil means gRPC.
	URL *url.URL
	// HTTPStatus is 0 if no response came. Protocol is that of the response, such as
	// HTTP/1.1; without one, that of the request.
	HTTPStatus int
	Protocol   string
	// RequestBytes is the size of the body of an HTTP request, 0 if it was not sent whole
	// before the response, or the error, came.
	RequestBytes int
	// Err is why no response came over HTTP.
	Err error
}

// WithCalls makes a client report each of its calls to called, which must be safe for
// concurrent use. nil reports nothing.
func WithCalls(called func(context.Context, Call)) Option {
	return func(o *options) { o.called = called }
}

func gather(opts []Option) (all options) {
	all.passthrough.Mode = config.PassOff
	for _, o := range opts {
		o(&all)
	}
	return all
}

// dialOptions returns what makes gRPC count.
func (t *Traffic) dialOptions() []grpc.DialOption {
	if t == nil {
		return nil
	}
	return []grpc.DialOption{grpc.WithStatsHandler(t.StatsHandler())}
}

// StatsHandler returns what makes another gRPC connection count in t.
func (t *Traffic) StatsHandler() stats.Handler { return trafficHandler{t} }

// trafficHandler counts every message of a gRPC connection.
type trafficHandler struct{ t *Traffic }

func (h trafficHandler) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s := s.(type) {
	case *stats.OutPayload:
		h.t.RPCOut.Add(int64(s.Length))
		h.t.WireOut.Add(int64(s.WireLength))
	case *stats.InPayload:
		h.t.RPCIn.Add(int64(s.Length))
		h.t.WireIn.Add(int64(s.WireLength))
	}
}

func (trafficHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (trafficHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (trafficHandler) HandleConn(context.Context, stats.ConnStats)                       {}

// watch makes the HTTP exchange of ctx count its request.
func (t *Traffic) watch(ctx context.Context, rpcBytes, wireBytes int) context.Context {
	if t == nil {
		return ctx
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteRequest: func(info httptrace.WroteRequestInfo) {
			if info.Err == nil {
				t.RPCOut.Add(int64(rpcBytes))
				t.WireOut.Add(int64(wireBytes))
			}
		},
	})
}

// listen makes resp count what is read of its body, which is not compressed.
func (t *Traffic) listen(resp *http.Response) {
	if t != nil {
		resp.Body = &countedBody{resp.Body, t}
	}
}

type countedBody struct {
	io.ReadCloser
	t *Traffic
}

func (b *countedBody) Read(dst []byte) (int, error) {
	n, err := b.ReadCloser.Read(dst)
	b.t.RPCIn.Add(int64(n))
	b.t.WireIn.Add(int64(n))
	return n, err
}
