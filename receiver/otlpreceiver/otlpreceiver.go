// Package otlpreceiver takes OTLP from the network, over gRPC and over HTTP, for
// all signals that have a consumer, and hands each request to it as the bytes that
// it arrived in.
//
//	gRPC :4317 ─► conns ─► grpcserver ──┐ frontend: authenticate ─► admit ─► body  ┌─► Batch ─► Consumer
//	                                    ├──────────────────────────────────────────┤
//	HTTP :4318 ─► conns ─► httpHandler ─┘ in one pooled buffer ─► export           └─► answer: success, partial, refusal
//
// The client gets a success when the consumer has returned nil, not before. What a
// consumer's error means to the client is decided in package frontend, once for
// all transports.
//
// An embedder registers consumers of its own:
//
//	cfg := otlpreceiver.DefaultConfig()
//	cfg.Protocols.GRPC = otlpreceiver.DefaultGRPCConfig()
//	cfg.Protocols.HTTP = otlpreceiver.DefaultHTTPConfig()
//	r, err := otlpreceiver.New(cfg, component.Settings{ID: "otlp"})
//
// The one trap: request bytes come in a buffer of internal/bufpool, which has
// one owner at a time. It passes from the transport to the front end, and from
// there to the Batch.
package otlpreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
	"github.com/penstock-telemetry/penstock/receiver/internal/grpcserver"
)

// Receiver is an OTLP server with up to two listeners. Its life is New, Register
// for each signal, Start, Shutdown.
type Receiver struct {
	cfg        Config
	set        component.Settings
	life       *lifecycle.Cycle
	consumers  frontend.Consumers
	pace       frontend.Pace
	inFlight   *frontend.InFlight
	rejections *obsreport.Rejections

	servers atomic.Pointer[servers] // nil until started
	broken  atomic.Pointer[error]   // why a server stopped listening by itself
}

// servers are what Start makes.
type servers struct {
	grpc    *grpcserver.Server // nil if off, or on the port of HTTP
	http    *httpServer        // nil if off
	serving sync.WaitGroup     // the accept loops
	obs     []*obsreport.Receiver
}

// New makes a receiver. It opens nothing.
func New(cfg Config, set component.Settings) (*Receiver, error) {
	cfg = cfg.completed()
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	set = set.OrDefaults()
	return &Receiver{
		cfg: cfg, set: set, life: lifecycle.New(fmt.Sprintf("receiver %q", set.ID)),
		pace: frontend.DefaultPace(), inFlight: frontend.NewInFlight(), rejections: obsreport.NewRejections(set.Logger),
	}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// Register names the consumer of a signal, once for each, before Start. Signals
// without one are answered with Unimplemented and 404.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	if !s.Valid() || c == nil {
		return fmt.Errorf("receiver %q: register %v for %s: expected a consumer and a signal", r.set.ID, c, s)
	}
	err := r.life.Configure(func() error {
		if !r.consumers.Set(s, c) {
			return errors.New("it has one already")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("receiver %q: register a consumer of %s: %w", r.set.ID, s, err)
	}
	return nil
}

// Rewire implements component.Rewirer.
func (r *Receiver) Rewire(next map[otlp.Signal]pipeline.Consumer) error {
	for s, c := range next {
		if !s.Valid() || c == nil {
			return fmt.Errorf("receiver %q: replace the consumer of %s: expected a consumer and a signal, found %v", r.set.ID, s, c)
		}
	}
	r.consumers.Replace(next)
	return nil
}

// Settle implements component.Settler.
func (r *Receiver) Settle(ctx context.Context) error {
	if err := r.consumers.Settle(ctx); err != nil {
		return fmt.Errorf("receiver %q: wait for requests with a consumer that was replaced: %w", r.set.ID, err)
	}
	return nil
}

// RegisterAll registers c for all four signals.
func (r *Receiver) RegisterAll(c pipeline.Consumer) error {
	var errs []error
	for _, s := range otlp.Signals() {
		errs = append(errs, r.Register(s, c))
	}
	return errors.Join(errs...)
}

// Start binds the listeners and serves. A second call returns what the first
// did.
func (r *Receiver) Start(ctx context.Context) error {
	return r.life.Start(func(undo *lifecycle.Undo) error {
		s := &servers{}
		undo.Add(func() error { r.closeMeasurements(s); return nil })
		if err := r.open(ctx, s, undo); err != nil {
			return err
		}
		r.servers.Store(s)
		if s.grpc != nil {
			r.set.Logger.Info("Starting GRPC server", "endpoint", s.grpc.Listener().Addr().String())
			r.serve(s, s.grpc.Serve)
		}
		if s.http != nil {
			if r.cfg.OnePort() {
				r.set.Logger.Info("Starting GRPC server on the port of HTTP")
			}
			r.set.Logger.Info("Starting HTTP server", "endpoint", s.http.listener.Addr().String())
			r.serve(s, s.http.serve)
		}
		return nil
	})
}

// open makes the servers. One of them serves both protocols if they share a port.
func (r *Receiver) open(ctx context.Context, s *servers, undo *lifecycle.Undo) error {
	g, h := r.cfg.Protocols.GRPC, r.cfg.Protocols.HTTP
	shared := g
	if g != nil && !r.cfg.OnePort() {
		shared = nil
		if err := r.openGRPC(ctx, s, g); err != nil {
			return fmt.Errorf("protocols.grpc: %w", err)
		}
		undo.Add(s.grpc.Close)
	}
	if h == nil {
		return nil
	}
	if err := r.openHTTP(ctx, s, h, shared); err != nil {
		return fmt.Errorf("protocols.http: %w", err)
	}
	return nil
}

func (r *Receiver) openGRPC(ctx context.Context, s *servers, c *GRPCConfig) error {
	f, secure, err := r.frontEnd(s, "grpc", &c.ServerConfig)
	if err != nil {
		return err
	}
	l, err := r.listen(ctx, "grpc", &c.ServerConfig, f, r.pace.WriteStall)
	if err != nil {
		return err
	}
	options := r.grpcOptions(c, f)
	options.TLS, options.GRPC = secure, c.serverOptions()
	s.grpc = grpcserver.New(l, options)
	return nil
}

func (r *Receiver) openHTTP(ctx context.Context, s *servers, c *HTTPConfig, shared *GRPCConfig) error {
	paths, err := c.routes()
	if err != nil {
		return err
	}
	f, secure, err := r.frontEnd(s, "http", &c.ServerConfig, slices.Sorted(maps.Keys(paths))...)
	if err != nil {
		return err
	}
	h, err := r.httpHandler(c, f, paths)
	if err != nil {
		return err
	}
	if shared != nil {
		over, _, err := r.frontEnd(s, "grpc", &shared.ServerConfig)
		if err != nil {
			return err
		}
		h.grpc = &grpcserver.OverHTTP{Options: r.grpcOptions(shared, over)}
		h.grpc.Pace = h.pace
	}
	l, err := r.listen(ctx, "http", &c.ServerConfig, f, 0)
	if err != nil {
		return err
	}
	s.http = newHTTPServer(l, c, h, secure, h.pace, &frontend.Handshakes{Obs: h.Obs, Log: r.set.Logger})
	return nil
}

// frontEnd makes what all requests over one transport pass, and reads the settings
// for TLS.
func (r *Receiver) frontEnd(s *servers, transport string, c *ServerConfig, paths ...string) (*frontend.FrontEnd, *tls.Config, error) {
	obs, err := obsreport.NewReceiver(r.set.ID, transport, r.set.Tracer, r.set.Meter, r.set.MetricsLevel >= component.LevelDetailed, paths...)
	if err != nil {
		return nil, nil, err
	}
	s.obs = append(s.obs, obs)
	text := newTextCheck(r.cfg.InvalidUTF8, obs, r.set.Logger)
	o := frontend.Options{
		Transport: transport, Obs: obs, Rejections: r.rejections, InFlight: r.inFlight, Memory: r.set.Memory,
		SenderHeader: strings.ToLower(c.SenderHeader),
		AllMetadata:  c.IncludeMetadata.All, Metadata: c.IncludeMetadata.Names, Inspect: text.inspect,
		Limits: r.cfg.limits(),
		Tracer: r.set.Tracer, Log: r.set.Logger,
	}
	if a := c.Auth; a != nil {
		if o.Auth, err = frontend.Authenticator(r.set, a.Authenticator); err != nil {
			return nil, nil, err
		}
	}
	secure, err := frontend.LoadTLS(c.TLS, r.set.Logger)
	if err != nil {
		return nil, nil, err
	}
	if secure != nil {
		if secure.NextProtos, err = r.alpn(transport, secure); err != nil {
			return nil, nil, err
		}
	}
	return frontend.New(o), secure, nil
}

// alpn returns the protocols that clients may choose from.
func (r *Receiver) alpn(transport string, secure *tls.Config) ([]string, error) {
	switch h2 := speaksHTTP2(secure); {
	case transport == "grpc":
		return []string{"h2"}, nil
	case h2:
		return []string{"h2", "http/1.1"}, nil
	case r.cfg.OnePort():
		return nil, errors.New("tls.cipher_suites: gRPC on this port needs TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 or TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (RFC 9113, section 9.2.2)")
	}
	return []string{"http/1.1"}, nil
}

// route returns where the requests of a signal go.
func (r *Receiver) route(s otlp.Signal) *frontend.Route {
	return &frontend.Route{Signal: s, Consumers: &r.consumers}
}

func (r *Receiver) listen(ctx context.Context, protocol string, c *ServerConfig, f *frontend.FrontEnd, writeTimeout time.Duration) (*conns.Listener, error) {
	o := c.listenOptions()
	o.Key = "receivers." + r.set.ID + ".protocols." + protocol + ".endpoint"
	l, err := config.Listen(ctx, o)
	if err != nil {
		return nil, err
	}
	most := c.MaxConnections
	if most == 0 {
		most = defaultMaxConnections()
	}
	return conns.NewListener(l, conns.Options{Max: most, WriteTimeout: writeTimeout, Obs: f.Obs}), nil
}

// closeMeasurements takes the gauges off, and logs what was not logged yet.
func (r *Receiver) closeMeasurements(s *servers) {
	for _, obs := range s.obs {
		if err := obs.Close(); err != nil {
			r.set.Logger.Warn("the receiver's gauges are still registered", slog.Any("error", err))
		}
	}
	r.rejections.Close()
}

// serve runs an accept loop, which ends by Shutdown.
func (r *Receiver) serve(s *servers, loop func() error) {
	s.serving.Go(func() {
		if err := loop(); err != nil {
			r.broken.Store(&err)
			r.set.Logger.LogAttrs(context.Background(), slog.LevelError, "the OTLP receiver stopped listening", slog.Any("error", err))
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

// GRPCAddr returns the address that the gRPC server is bound to, nil if it was
// not started.
func (r *Receiver) GRPCAddr() net.Addr {
	if r.cfg.OnePort() {
		return r.HTTPAddr()
	}
	if s := r.servers.Load(); s != nil && s.grpc != nil {
		return s.grpc.Listener().Addr()
	}
	return nil
}

// HTTPAddr is GRPCAddr for HTTP.
func (r *Receiver) HTTPAddr() net.Addr {
	if s := r.servers.Load(); s != nil && s.http != nil {
		return s.http.listener.Addr()
	}
	return nil
}

// What is spoken at the endpoints.
const (
	grpcProtocol = "OTLP/gRPC"
	httpProtocol = "OTLP/HTTP"
)
