// Package grpcserver is the front end's transport for unary calls over gRPC, with
// grpc-go's server or on net/http's.
//
//	conns.Listener ─► credentials ─► grpc.Server ─► call ─┐
//	                  TLS, preface                        ├─► frontend.Serve
//	http.Server ─► OverHTTP ─────────────► httpCall ──────┘
//
// Methods are declared as streams of requests, which is the same on the wire, so
// that a call begins before its message has come. The message is then read below
// gRPC's codec, its length first (gRPC over HTTP/2, "Length-Prefixed-Message").
//
// The one trap: this needs methods of grpc-go's stream that are not in its API
// (messageStream); a test sees to it that they are still there.
package grpcserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/experimental"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// connWindowBytes is the flow-control window of a connection. gRPC extends it as
// bytes arrive, so it costs no memory; a smaller one would slow down distant
// clients.
const connWindowBytes = 8 << 20

// Options describe a server.
type Options struct {
	FrontEnd *frontend.FrontEnd
	Pace     *frontend.Pace
	// Methods are the routes by method: "/package.Service/Method". Others are
	// answered with Unimplemented.
	Methods map[string]*frontend.Route
	// MaxRequestBytes limits a request, compressed and decompressed. LimitKey is the
	// key of the configuration in the error for a larger one, if any.
	MaxRequestBytes int
	LimitKey        string
	// NotCompressed refuses compressed requests with this text; empty allows them.
	NotCompressed string
	// TLS is nil for plaintext.
	TLS *tls.Config
	// Protocol is what is spoken here, for errors and logs: "OTLP/gRPC".
	Protocol string
	// HTTPHint is the error text for a client that uses HTTP/1: the right port.
	HTTPHint string
	// GRPC are further options of grpc-go's server.
	GRPC []grpc.ServerOption
}

// Server is a listener and what serves it.
type Server struct {
	opts     Options
	listener *conns.Listener
	server   *grpc.Server
	stopping sync.Once     // begins the graceful stop
	drained  chan struct{} // closed when the graceful stop is over
	retiring atomic.Bool   // the listener was closed by Retire
	served   chan struct{} // closed when Serve has returned
}

// New returns a server for l, which belongs to it from then on.
func New(l *conns.Listener, o Options) *Server {
	creds := &serverCredentials{Options: &o, shakes: frontend.Handshakes{Obs: o.FrontEnd.Obs, Log: o.FrontEnd.Log}}
	s := grpc.NewServer(append(o.GRPC,
		grpc.ForceServerCodecV2(rawCodec{}),
		decompress.GRPCGzip(),
		experimental.BufferPool(bufpool.GRPC{}),              // gRPC's own clears its buffers: a tenth more CPU for requests of 1000 spans
		grpc.StaticStreamWindowSize(frontend.ReadAheadBytes), // once admitted a request is granted its own length
		grpc.StaticConnWindowSize(connWindowBytes),
		grpc.Creds(creds), grpc.ConnectionTimeout(o.Pace.Handshake), grpc.UnknownServiceHandler(Handler(&o, nil)))...)
	for name, route := range o.Methods {
		service, short, _ := strings.Cut(strings.TrimPrefix(name, "/"), "/")
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: service,
			HandlerType: (*any)(nil),
			Streams:     []grpc.StreamDesc{{StreamName: short, Handler: Handler(&o, route), ClientStreams: true}},
		}, nil)
	}
	registerHealth(s, &o)
	return &Server{opts: o, listener: l, server: s, drained: make(chan struct{}), served: make(chan struct{})}
}

// Listener returns the server's listener.
func (s *Server) Listener() *conns.Listener { return s.listener }

// Serve accepts connections until the server is stopped. It returns an error if it
// cannot go on. It is called once.
func (s *Server) Serve() error {
	defer close(s.served)
	err := s.server.Serve(s.listener)
	switch {
	case s.retiring.Load() && errors.Is(err, net.ErrClosed):
	case err != nil && !errors.Is(err, grpc.ErrServerStopped): // stopped before it began
		return fmt.Errorf("serve %s on %s: %w", s.opts.Protocol, s.listener.Addr(), err)
	}
	return nil
}

// Retire stops to accept, sends GOAWAY on all connections, also on those in their
// handshake, and waits until the clients have left, or ctx ends. It reports whether they
// have. It is called while Serve runs, and Drain after it.
func (s *Server) Retire(ctx context.Context) bool {
	s.retiring.Store(true)
	_ = s.listener.Close() // Serve returns; an error would be of a socket that is not used any more
	<-s.served
	return s.listener.WaitServed(ctx) == nil && s.stop(ctx)
}

// Drain stops to accept and lets requests finish until ctx ends. It reports whether
// all did. Its goroutine ends with Drained, after Abort if need be.
func (s *Server) Drain(ctx context.Context) bool {
	s.listener.CloseHandshakes()
	return s.stop(ctx)
}

// stop stops gracefully, and reports whether that was over before ctx ended.
func (s *Server) stop(ctx context.Context) bool {
	s.stopping.Do(func() {
		go func() {
			defer close(s.drained)
			s.server.GracefulStop()
		}()
	})
	select {
	case <-s.drained:
		return true
	case <-ctx.Done():
		return false
	}
}

// Abort closes what Drain left open: streams, and connections without a
// handshake.
func (s *Server) Abort() {
	s.listener.CloseHandshakes()
	s.server.Stop()
}

// Drained is closed when Drain's work is over.
func (s *Server) Drained() <-chan struct{} { return s.drained }

// Close closes a server that never served.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.server.Stop()
	return err
}
