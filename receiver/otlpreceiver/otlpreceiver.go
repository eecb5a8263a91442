// Package otlpreceiver takes OTLP from the network, over gRPC and over HTTP, for
// all signals that somebody wants, and hands each request to a consumer as the
// bytes that it arrived in.
//
//	gRPC :4317 ─► rawCodec ──────────────┐              ┌─► Batch ─► Consumer
//	                  one pooled buffer  ├─► intake ────┤
//	HTTP :4318 ─► path, type, body ──────┘   .export    └─► answer: success, partial, refusal
//
// The client hears of success when the consumer has returned nil, not before.
// What a consumer's error means to the client is decided in refusal.go, once for
// both transports.
//
// The one trap: request bytes come in a buffer of internal/bufpool, which has
// one owner at a time. It passes from the transport to export, and from there to
// the Batch.
package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// abortGrace is how long Shutdown waits past its deadline for the requests that
// it broke off to notice.
const abortGrace = time.Second

// Receiver is an OTLP server with up to two listeners. Its life is New, Register
// for each signal, Start, Shutdown.
type Receiver struct {
	cfg  Config
	set  pipeline.Settings
	gate gate

	mu        sync.Mutex
	phase     phase
	startErr  error
	consumers [otlp.Profiles + 1]pipeline.Consumer
	grpc      *grpcServer // nil if off or not started, as http
	http      *httpServer
	serving   sync.WaitGroup // the servers' accept loops

	stop    sync.Once
	stopErr error
}

type phase uint8

const (
	created phase = iota
	started
	stopped
)

// New makes a receiver. It opens nothing.
func New(cfg Config, set pipeline.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	return &Receiver{cfg: cfg, set: set.OrDefaults()}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// Register names the consumer of a signal, once for each, before Start. Signals
// without one are answered with Unimplemented and 404.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !s.Valid() || c == nil:
		return fmt.Errorf("receiver %q: register %v for %s: expected a consumer and a signal", r.set.ID, c, s)
	case r.phase != created:
		return fmt.Errorf("receiver %q: register a consumer of %s: it was started already", r.set.ID, s)
	case r.consumers[s] != nil:
		return fmt.Errorf("receiver %q: register a consumer of %s: it has one already", r.set.ID, s)
	}
	r.consumers[s] = c
	return nil
}

// Start binds the listeners and serves. A second call returns what the first
// did.
func (r *Receiver) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.phase {
	case started:
		return r.startErr
	case stopped:
		return fmt.Errorf("receiver %q: start: it was shut down", r.set.ID)
	}
	r.phase = started
	if err := r.open(ctx); err != nil {
		r.startErr = fmt.Errorf("start receiver %q: %w", r.set.ID, err)
		return r.startErr
	}
	if r.grpc != nil {
		r.set.Logger.Info("Starting GRPC server", "receiver", r.set.ID, "endpoint", r.grpc.listener.Addr().String())
		r.serve(r.grpc.serve)
	}
	if r.http != nil {
		r.set.Logger.Info("Starting HTTP server", "receiver", r.set.ID, "endpoint", r.http.listener.Addr().String())
		r.serve(r.http.serve)
	}
	return nil
}

// open makes both servers, or none.
func (r *Receiver) open(ctx context.Context) error {
	grpcConfig, httpConfig := r.cfg.Protocols.GRPC.Get(), r.cfg.Protocols.HTTP.Get()
	if grpcConfig != nil {
		intakes, err := r.intakes("grpc")
		if err != nil {
			return err
		}
		l, err := listen(ctx, grpcConfig.Transport, grpcConfig.Endpoint)
		if err != nil {
			return fmt.Errorf("protocols.grpc: %w", err)
		}
		r.grpc = newGRPCServer(l, grpcConfig, intakes)
	}
	if httpConfig == nil {
		return nil
	}
	var err error
	if r.http, err = r.openHTTP(ctx, httpConfig); err != nil && r.grpc != nil {
		err = errors.Join(err, r.grpc.listener.Close())
		r.grpc.server.Stop()
		r.grpc = nil
	}
	return err
}

func (r *Receiver) openHTTP(ctx context.Context, c *HTTPConfig) (*httpServer, error) {
	intakes, err := r.intakes("http")
	if err != nil {
		return nil, err
	}
	paths, err := c.routes()
	if err != nil {
		return nil, err
	}
	h := newHTTPHandler(c, paths, intakes, &r.gate)
	l, err := listen(ctx, c.Transport, c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("protocols.http: %w", err)
	}
	return newHTTPServer(l, c, h, r.set.Logger), nil
}

// intakes makes the intake of each signal over one transport, also for signals
// without a consumer.
func (r *Receiver) intakes(transport string) ([]*intake, error) {
	obs, err := obsreport.NewReceiver(r.set.ID, transport, r.set.Tracer, r.set.Meter)
	if err != nil {
		return nil, err
	}
	var all []*intake
	for _, s := range otlp.Signals() {
		all = append(all, &intake{signal: s, next: r.consumers[s], obs: obs, gate: &r.gate, log: r.set.Logger})
	}
	return all, nil
}

func listen(ctx context.Context, network, endpoint string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, network, endpoint)
	if err != nil {
		return nil, fmt.Errorf("listen on endpoint %s: %w", endpoint, err)
	}
	return l, nil
}

// serve runs an accept loop, which ends by Shutdown.
func (r *Receiver) serve(loop func() error) {
	r.serving.Go(func() {
		if err := loop(); err != nil {
			r.set.Logger.LogAttrs(context.Background(), slog.LevelError, "the OTLP receiver stopped listening",
				slog.String("receiver", r.set.ID), slog.Any("error", err))
		}
	})
}

// GRPCAddr returns the address that the gRPC server is bound to, nil if it is
// not running.
func (r *Receiver) GRPCAddr() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.grpc == nil {
		return nil
	}
	return r.grpc.listener.Addr()
}

// HTTPAddr is GRPCAddr for HTTP.
func (r *Receiver) HTTPAddr() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.http == nil {
		return nil
	}
	return r.http.listener.Addr()
}
