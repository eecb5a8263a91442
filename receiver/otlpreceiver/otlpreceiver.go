// Package otlpreceiver takes OTLP from the network, over gRPC and over HTTP, for
// all signals that somebody wants, and hands each request to a consumer as the
// bytes that it arrived in.
//
//	gRPC :4317 ─► conns ─► grpcHandler ─┐  visit: authenticate ─► admit ─► body  ┌─► Batch ─► Consumer
//	                                    ├──────────────────────────────────────┤
//	HTTP :4318 ─► conns ─► httpHandler ─┘  in one pooled buffer ─► export        └─► answer: success, partial, refusal
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
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracenoop "go.opentelemetry.io/otel/trace/noop"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// abortGrace is how long Shutdown waits past its deadline for the requests that
// it broke off to notice.
const abortGrace = time.Second

// Receiver is an OTLP server with up to two listeners. Its life is New, Register
// for each signal, Start, Shutdown.
type Receiver struct {
	cfg  Config
	set  component.Settings
	gate *gate
	pace pace

	rejections *obsreport.Rejections
	broken     atomic.Pointer[error] // why a server stopped listening by itself

	mu        sync.Mutex
	phase     phase
	startErr  error
	consumers [otlp.Profiles + 1]pipeline.Consumer
	grpc      *grpcServer // nil if off or not started, as http
	http      *httpServer
	doors     []*obsreport.Receiver
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
func New(cfg Config, set component.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	set = set.OrDefaults()
	return &Receiver{cfg: cfg, set: set, gate: newGate(), pace: defaultPace(), rejections: obsreport.NewRejections(set.Logger)}, nil
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
		r.forget()
		r.startErr = fmt.Errorf("start receiver %q: %w", r.set.ID, err)
		return r.startErr
	}
	if r.grpc != nil {
		r.set.Logger.Info("Starting GRPC server", "receiver", r.set.ID, "endpoint", r.grpc.listener.Addr().String())
		r.serve(r.grpc.serve)
	}
	if r.http != nil {
		if r.cfg.OnePort() {
			r.set.Logger.Info("Starting GRPC server on the port of HTTP", "receiver", r.set.ID)
		}
		r.set.Logger.Info("Starting HTTP server", "receiver", r.set.ID, "endpoint", r.http.listener.Addr().String())
		r.serve(r.http.serve)
	}
	return nil
}

// open makes both servers, or none. One of them serves both protocols if they
// share a port.
func (r *Receiver) open(ctx context.Context) error {
	g, h := r.cfg.Protocols.GRPC, r.cfg.Protocols.HTTP
	shared := g
	if g != nil && !r.cfg.OnePort() {
		shared = nil
		if err := r.openGRPC(ctx, g); err != nil {
			return fmt.Errorf("protocols.grpc: %w", err)
		}
	}
	if h == nil {
		return nil
	}
	if err := r.openHTTP(ctx, h, shared); err != nil {
		return errors.Join(fmt.Errorf("protocols.http: %w", err), r.closeGRPC())
	}
	return nil
}

func (r *Receiver) openGRPC(ctx context.Context, c *GRPCConfig) error {
	d, secure, err := r.door("grpc", &c.ServerConfig)
	if err != nil {
		return err
	}
	l, err := r.listen(ctx, &c.ServerConfig, d, d.pace.writeStall)
	if err != nil {
		return err
	}
	r.grpc = newGRPCServer(l, c, d, secure)
	return nil
}

// closeGRPC undoes openGRPC.
func (r *Receiver) closeGRPC() error {
	if r.grpc == nil {
		return nil
	}
	err := r.grpc.listener.Close()
	r.grpc.server.Stop()
	r.grpc = nil
	return err
}

func (r *Receiver) openHTTP(ctx context.Context, c *HTTPConfig, shared *GRPCConfig) error {
	routes, err := c.routes()
	if err != nil {
		return err
	}
	d, secure, err := r.door("http", &c.ServerConfig, slices.Sorted(maps.Keys(routes))...)
	if err != nil {
		return err
	}
	d.pace.request = c.ReadTimeout
	h, err := newHTTPHandler(c, d, routes)
	if err != nil {
		return err
	}
	if shared != nil {
		if h.grpc, err = r.grpcOverHTTP(shared, d.pace); err != nil {
			return err
		}
	}
	l, err := r.listen(ctx, &c.ServerConfig, d, 0)
	if err != nil {
		return err
	}
	r.http = newHTTPServer(l, c, h, secure, d.pace, r.set.Logger)
	return nil
}

func (r *Receiver) grpcOverHTTP(c *GRPCConfig, p pace) (http.Handler, error) {
	d, _, err := r.door("grpc", &c.ServerConfig)
	if err != nil {
		return nil, err
	}
	d.pace = p
	return &grpcOverHTTP{door: d, maxRequestBytes: c.maxRequestBytes()}, nil
}

// door makes what all requests over one transport pass, with TLS if it is set.
func (r *Receiver) door(transport string, c *ServerConfig, routes ...string) (*door, *tls.Config, error) {
	obs, err := obsreport.NewReceiver(r.set.ID, transport, r.set.Tracer, r.set.Meter, routes...)
	if err != nil {
		return nil, nil, err
	}
	r.doors = append(r.doors, obs)
	d := &door{
		transport: transport, gate: r.gate, pace: r.pace, obs: obs, rejections: r.rejections, budget: r.set.Memory,
		text:   newTextCheck(r.cfg.InvalidUTF8, obs, r.set.Logger),
		traced: traces(r.set.Tracer), metadata: c.IncludeMetadata, log: r.set.Logger,
	}
	for _, s := range otlp.Signals() {
		d.intakes[s] = &intake{signal: s, next: r.consumers[s]}
	}
	if d.auth, err = r.authenticator(c); err != nil {
		return nil, nil, err
	}
	t := c.TLS
	if t == nil {
		return d, nil, nil
	}
	secure, err := t.LoadReporting(func(err error) {
		r.set.Logger.Warn("cannot reload the TLS files, going on with the old ones", slog.String("receiver", r.set.ID), slog.Any("error", err))
	})
	if err != nil {
		return nil, nil, err
	}
	switch h2 := speaksHTTP2(secure); {
	case transport == "grpc":
		secure.NextProtos = []string{"h2"}
	case h2:
		secure.NextProtos = []string{"h2", "http/1.1"}
	case r.cfg.OnePort():
		return nil, nil, errors.New("tls.cipher_suites: gRPC on this port needs TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 9113, section 9.2.2)")
	default:
		secure.NextProtos = []string{"http/1.1"}
	}
	return d, secure, nil
}

// authenticator finds who decides about requests; nil is nobody. The texts are
// the Collector's.
func (r *Receiver) authenticator(c *ServerConfig) (pipeline.Authenticator, error) {
	a := c.Auth
	if a == nil {
		return nil, nil
	}
	found, ok := r.set.Extension(a.Authenticator)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: authenticator not found", a.Authenticator)
	}
	auth, ok := found.(pipeline.Authenticator)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: requested authenticator is not a server authenticator", a.Authenticator)
	}
	return auth, nil
}

// traces says whether anybody looks at spans.
func traces(tp trace.TracerProvider) bool {
	_, noop := tp.(tracenoop.TracerProvider)
	return !noop
}

func (r *Receiver) listen(ctx context.Context, c *ServerConfig, d *door, writeTimeout time.Duration) (*conns.Listener, error) {
	l, err := config.Listen(ctx, c.listenOptions())
	if err != nil {
		return nil, err
	}
	most := c.MaxConnections
	if most == 0 {
		most = defaultMaxConnections()
	}
	return newListener(l, most, writeTimeout, d.obs), nil
}

// forget ends the measurements.
func (r *Receiver) forget() {
	for _, d := range r.doors {
		if err := d.Close(); err != nil {
			r.set.Logger.Warn("the receiver's gauges stay behind", slog.String("receiver", r.set.ID), slog.Any("error", err))
		}
	}
	r.rejections.Close()
}

// serve runs an accept loop, which ends by Shutdown.
func (r *Receiver) serve(loop func() error) {
	r.serving.Go(func() {
		if err := loop(); err != nil {
			r.broken.Store(&err)
			r.set.Logger.LogAttrs(context.Background(), slog.LevelError, "the OTLP receiver stopped listening",
				slog.String("receiver", r.set.ID), slog.Any("error", err))
		}
	})
}

// Healthy says why the receiver no longer serves what it was started for; nil if
// it does.
func (r *Receiver) Healthy() error {
	if err := r.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// GRPCAddr returns the address that the gRPC server is bound to, nil if it is
// not running.
func (r *Receiver) GRPCAddr() net.Addr {
	if r.cfg.OnePort() {
		return r.HTTPAddr()
	}
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
