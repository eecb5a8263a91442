package otlpreceiver

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"
	"google.golang.org/grpc/keepalive"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// handshakeTimeout is how long a connection may take to greet. A connection that
// does not holds up a graceful stop for as long; see handshakes.
const handshakeTimeout = 10 * time.Second

// grpcServer is the listener and what serves it.
type grpcServer struct {
	listener *handshakes
	server   *grpc.Server
	drained  chan struct{} // closed when the graceful stop is over
}

// newGRPCServer makes a server for those of intakes that have a consumer. gRPC
// answers Unimplemented for the others.
func newGRPCServer(l net.Listener, c *GRPCConfig, intakes []*intake) *grpcServer {
	s := grpc.NewServer(grpcOptions(c)...)
	for _, in := range intakes {
		if in.next == nil {
			continue
		}
		h := &grpcHandler{in: in, includeMetadata: c.IncludeMetadata}
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: in.signal.Spec().Service,
			HandlerType: (*any)(nil),
			Methods:     []grpc.MethodDesc{{MethodName: "Export", Handler: h.export}},
		}, h)
	}
	return &grpcServer{listener: &handshakes{Listener: l}, server: s, drained: make(chan struct{})}
}

// workersPerProcessor is the number of goroutines that wait for requests. One
// that has served before has a stack of the right size: measured on requests of
// 10 spans, a tenth less CPU. If all are busy gRPC starts others.
const workersPerProcessor = 4

// grpcOptions translates the configuration. gRPC's own buffer pool clears what it
// lends; measured on requests of 1000 spans, bufpool takes a tenth less CPU.
func grpcOptions(c *GRPCConfig) []grpc.ServerOption {
	maxRecv := c.MaxRecvMsgSizeMiB << 20
	if maxRecv == 0 {
		maxRecv = defaultMaxRequestBytes
	}
	streams := c.MaxConcurrentStreams
	if streams == 0 {
		streams = DefaultGRPCConfig().MaxConcurrentStreams
	}
	sp, ep := c.Keepalive.ServerParameters, c.Keepalive.EnforcementPolicy
	opts := []grpc.ServerOption{
		grpc.ForceServerCodecV2(rawCodec{}),
		experimental.BufferPool(bufpool.GRPC{}),
		grpc.NumStreamWorkers(uint32(workersPerProcessor * runtime.GOMAXPROCS(0))),
		grpc.MaxRecvMsgSize(maxRecv),
		grpc.MaxConcurrentStreams(streams),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(handshakeTimeout),
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
	if err := s.server.Serve(s.listener); err != nil {
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
	s.listener.closeRecent()
	s.server.Stop()
}

// handshakes is a listener that remembers the connections which may still be
// greeting. gRPC does not: both its ways to stop wait for them, and neither
// closes them. They are remembered by age, since gRPC reads a connection of a
// foreign type with a buffer of its own, and a *net.TCPConn without.
type handshakes struct {
	net.Listener
	mu     sync.Mutex
	recent []acceptedConn // oldest first; at least half are younger than handshakeTimeout
}

type acceptedConn struct {
	net.Conn
	at time.Time
}

// Accept remembers the connection for as long as it may be greeting.
func (l *handshakes) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	old := 0
	for old < len(l.recent) && now.Sub(l.recent[old].at) > handshakeTimeout {
		old++
	}
	if 2*old >= len(l.recent) {
		l.recent = slices.Delete(l.recent, 0, old)
	}
	l.recent = append(l.recent, acceptedConn{c, now})
	return c, nil
}

func (l *handshakes) closeRecent() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.recent {
		_ = c.Close() // most are closed already
	}
	l.recent = nil
}
