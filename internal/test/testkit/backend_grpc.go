package testkit

import (
	"context"
	"fmt"
	"net"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/penstock-telemetry/penstock/otlp"
)

// maxBackendBytes is the largest request that a Backend accepts.
const maxBackendBytes = 256 << 20

// newGRPCServer makes a server for all methods that are rows of the signal table.
func newGRPCServer(b *Backend, conns *connections, opts ...grpc.ServerOption) *grpc.Server {
	opts = append(opts,
		grpc.ForceServerCodecV2(rawCodec{}),
		grpc.MaxRecvMsgSize(maxBackendBytes),
		grpc.StatsHandler(encodingWatcher{}),
		grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error { return b.serveGRPC(stream, conns) }),
	)
	return grpc.NewServer(opts...)
}

func (b *Backend) serveGRPC(stream grpc.ServerStream, conns *connections) error {
	method, _ := grpc.MethodFromServerStream(stream)
	s, ok := signalBy(func(spec *otlp.Spec) bool { return spec.Method == method })
	if !ok {
		return status.Errorf(codes.Unimplemented, "unknown method %s", method)
	}
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	ctx := stream.Context()
	call := Call{Signal: s, Transport: "grpc", Encoding: *ctx.Value(encodingKey{}).(*string)}
	call.Header, _ = metadata.FromIncomingContext(ctx)
	if p, ok := peer.FromContext(ctx); ok {
		call.Peer = p.Addr.String()
	}
	a := b.receive(ctx, call, request)
	switch {
	case a.HangUp:
		conns.close(call.Peer)
		return status.Error(codes.Unavailable, "hung up")
	case a.Code != codes.OK:
		return a.status().Err()
	}
	body := a.success()
	return stream.SendMsg(&body)
}

// signalBy returns the signal for whose row in the table is returns true.
func signalBy(is func(*otlp.Spec) bool) (otlp.Signal, bool) {
	for _, s := range otlp.Signals() {
		if is(s.Spec()) {
			return s, true
		}
	}
	return 0, false
}

// rawCodec passes messages on as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	body, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("testkit sends *[]byte, not %T", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*body)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	body, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("testkit receives *[]byte, not %T", v)
	}
	*body = data.Materialize()
	return nil
}

// encodingWatcher records grpc-encoding, which gRPC leaves out of the metadata.
type encodingWatcher struct{}

type encodingKey struct{}

func (encodingWatcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, encodingKey{}, new(string))
}

func (encodingWatcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InHeader); ok {
		*ctx.Value(encodingKey{}).(*string) = in.Compression
	}
}

func (encodingWatcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (encodingWatcher) HandleConn(context.Context, stats.ConnStats)                       {}

// connections is a listener that can close a connection by its peer's address.
type connections struct {
	net.Listener
	mu   sync.Mutex
	open map[string]net.Conn
}

func (l *connections) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open = map[string]net.Conn{}
	}
	l.open[c.RemoteAddr().String()] = c
	return c, nil
}

func (l *connections) close(peer string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.open[peer]; c != nil {
		c.Close()
		delete(l.open, peer)
	}
}
