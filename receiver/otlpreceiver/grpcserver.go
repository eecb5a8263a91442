package otlpreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"runtime"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

const (
	// streamWindowBytes is how much of a body gRPC reads ahead of us, and thus
	// what a request costs before it is admitted. Once admitted it is granted its
	// own length.
	streamWindowBytes = 64 << 10
	// connWindowBytes is what a connection may have under way. gRPC gives it back
	// as bytes arrive, so that it costs no memory; less would slow down a distant
	// client.
	connWindowBytes = 8 << 20
	// workersPerProcessor is the number of goroutines that wait for requests. One
	// that has served before has a stack of the right size: measured on requests
	// of 10 spans, a tenth less CPU. If all are busy gRPC starts others.
	workersPerProcessor = 4
)

// grpcServer is the listener and what serves it.
type grpcServer struct {
	listener *conns.Listener
	server   *grpc.Server
	drained  chan struct{} // closed when the graceful stop is over
}

// newGRPCServer makes a server for all signals, and for methods that nobody
// knows, which are counted too.
func newGRPCServer(l *conns.Listener, c *GRPCConfig, d *door, secure *tls.Config) *grpcServer {
	creds := &greetings{tls: secure, obs: d.obs, log: d.log, stalledFor: d.pace.stalledFor}
	strangers := &grpcHandler{door: d, maxRequestBytes: c.maxRequestBytes()}
	s := grpc.NewServer(append(grpcOptions(c), grpc.Creds(creds), grpc.ConnectionTimeout(d.pace.handshake),
		grpc.UnknownServiceHandler(strangers.serve))...)
	for _, in := range d.intakes {
		if in == nil {
			continue
		}
		h := &grpcHandler{door: d, in: in, maxRequestBytes: c.maxRequestBytes()}
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: in.signal.Spec().Service,
			HandlerType: (*any)(nil),
			Streams:     []grpc.StreamDesc{{StreamName: "Export", Handler: h.serve, ClientStreams: true}},
		}, h)
	}
	return &grpcServer{listener: l, server: s, drained: make(chan struct{})}
}

func (c *GRPCConfig) maxRequestBytes() int {
	if c.MaxRecvMsgSizeMiB == 0 {
		return defaultMaxRequestBytes
	}
	return c.MaxRecvMsgSizeMiB << 20
}

// grpcOptions translates the configuration. gRPC's own buffer pool clears what it
// lends; measured on requests of 1000 spans, bufpool takes a tenth less CPU.
func grpcOptions(c *GRPCConfig) []grpc.ServerOption {
	streams := c.MaxConcurrentStreams
	if streams == 0 {
		streams = DefaultGRPCConfig().MaxConcurrentStreams
	}
	sp, ep := c.Keepalive.parts()
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		decompress.GRPCGzip(),
		experimental.BufferPool(bufpool.GRPC{}),
		grpc.NumStreamWorkers(uint32(workersPerProcessor * runtime.GOMAXPROCS(0))),
		grpc.MaxConcurrentStreams(streams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.StaticStreamWindowSize(streamWindowBytes),
		grpc.StaticConnWindowSize(connWindowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: sp.MaxConnectionIdle, MaxConnectionAge: sp.MaxConnectionAge,
			MaxConnectionAgeGrace: sp.MaxConnectionAgeGrace, Time: sp.Time, Timeout: sp.Timeout,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
			MinTime: ep.MinTime, PermitWithoutStream: ep.PermitWithoutStream,
		}),
	}
	if c.ReadBufferSize > 0 {
		opts = append(opts, grpc.ReadBufferSize(c.ReadBufferSize))
	}
	if c.WriteBufferSize > 0 {
		opts = append(opts, grpc.WriteBufferSize(c.WriteBufferSize))
	}
	return opts
}

func (s *grpcServer) serve() error {
	if err := s.server.Serve(s.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // stopped before it began
		return fmt.Errorf("serve OTLP/gRPC on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// drain lets requests finish until ctx ends. It says whether all did. Its
// goroutine ends with drained, after abort if need be.
func (s *grpcServer) drain(ctx context.Context) bool {
	go func() {
		defer close(s.drained)
		s.server.GracefulStop()
	}()
	s.listener.CloseSilent()
	select {
	case <-s.drained:
		return true
	case <-ctx.Done():
		return false
	}
}

// abort breaks off what drain left: streams, and connections that have not
// greeted yet.
func (s *grpcServer) abort() {
	s.listener.CloseSilent()
	s.server.Stop()
}
