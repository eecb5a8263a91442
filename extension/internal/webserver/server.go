// Package webserver is the small HTTP server behind the extensions that show
// something: health_check, pprof, zpages.
//
//	conn ─► at most 256 ─► Host known? ─► GET or HEAD? ─► at most 32 at once ─► Handler
//	                         │no: 403       │no: 405        │full: 503
//
// It listens on the loopback interface unless told otherwise, answers only under
// names that are this machine's (see hosts.go), reads no bodies, and bounds
// how long a connection may be held.
//
// The one trap: who may see a page is decided by who reaches the port. There is
// no login here, so a page shows no secrets.
package webserver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
)

const (
	maxConnections = 256
	maxAtOnce      = 32
	maxHeaderBytes = 16 << 10
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	// defaultWriteTimeout is from the header's end to the response's.
	defaultWriteTimeout = 30 * time.Second
)

// Options describe a server.
type Options struct {
	Config  config.WebServer
	Log     *slog.Logger
	Handler http.Handler
	// WriteTimeout is how long a response may take; 0 is 30 seconds.
	WriteTimeout time.Duration
	// OpenWhenPublic lets the server answer under any name once its endpoint can
	// be reached from other machines, for what is no secret.
	OpenWhenPublic bool
}

// Server is one listener. Its life is New, Start, Shutdown.
type Server struct {
	opts   Options
	life   lifecycle.Cycle
	hosts  hosts // set by Start, before the first request
	atOnce chan struct{}
	bound  atomic.Pointer[listening] // nil while it does not run
}

// listening is what Start makes.
type listening struct {
	listener net.Listener
	server   *http.Server
	secure   bool
	hurry    context.CancelFunc // ends the context of all requests
	serving  sync.WaitGroup
}

// New makes a server. It opens nothing.
func New(opts Options) *Server {
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = defaultWriteTimeout
	}
	return &Server{opts: opts, atOnce: make(chan struct{}, maxAtOnce)}
}

// Start binds the endpoint and serves. A second call returns what the first did.
func (s *Server) Start(ctx context.Context) error {
	return s.life.Start(func(*lifecycle.Undo) error { return s.start(ctx) })
}

func (s *Server) start(ctx context.Context) error {
	var secure *tls.Config // nil: plain
	if t := s.opts.Config.TLS; t != nil {
		var err error
		if secure, err = t.LoadReporting(s.notReloaded); err != nil {
			return err
		}
	}
	l, err := config.Listen(ctx, config.ListenOptions{Transport: s.opts.Config.Transport, Endpoint: s.opts.Config.Endpoint})
	if err != nil {
		return err
	}
	s.hosts = hostsOf(&s.opts.Config, l.Addr(), s.opts.OpenWhenPublic)
	requests, hurry := context.WithCancel(context.WithoutCancel(ctx))
	b := &listening{listener: netutil.LimitListener(l, maxConnections), hurry: hurry, secure: secure != nil} // net/http fills TLSConfig in any case
	b.server = &http.Server{
		Handler: http.HandlerFunc(s.guard), TLSConfig: secure, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: s.opts.WriteTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug), // what scanners do to a port is no event
	}
	b.serving.Go(func() {
		if err := b.serve(); !errors.Is(err, http.ErrServerClosed) {
			s.opts.Log.Error("an extension stopped listening", slog.Any("error", err))
		}
	})
	s.bound.Store(b)
	s.opts.Log.Info("an extension is listening", slog.String("url", s.url(b)))
	return nil
}

func (b *listening) serve() error {
	if b.secure {
		return b.server.ServeTLS(b.listener, "", "")
	}
	return b.server.Serve(b.listener)
}

func (s *Server) notReloaded(err error) {
	s.opts.Log.Warn("a certificate cannot be read again; the old one stays in use", slog.Any("error", err))
}

// guard lets through what may be answered.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	switch {
	case !s.hosts.allow(r.Host):
		http.Error(w, "This server is called by another name. Names that it answers to are listed under allowed_hosts.", http.StatusForbidden)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are answered here.", http.StatusMethodNotAllowed)
		return
	}
	select {
	case s.atOnce <- struct{}{}:
		defer func() { <-s.atOnce }()
	default:
		h.Set("Retry-After", "1")
		http.Error(w, "Too many requests are being answered.", http.StatusServiceUnavailable)
		return
	}
	s.opts.Handler.ServeHTTP(w, r)
}

// Endpoints returns what the server is bound to. It implements component.Server.
func (s *Server) Endpoints() []component.Endpoint {
	b := s.bound.Load()
	if b == nil {
		return nil
	}
	return []component.Endpoint{{Protocol: "HTTP", Addr: b.listener.Addr()}}
}

func (s *Server) url(b *listening) string {
	switch {
	case s.opts.Config.Transport == "unix":
		return "unix:" + b.listener.Addr().String()
	case b.secure:
		return "https://" + b.listener.Addr().String()
	}
	return "http://" + b.listener.Addr().String()
}

// Shutdown asks requests to hurry (their context ends: a profile under way is
// delivered as far as it is), waits for them until ctx ends, breaks off the rest,
// and closes the listener.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.life.Shutdown(func() error {
		b := s.bound.Load()
		b.hurry()
		err := b.server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("requests were broken off: %w", err), b.server.Close())
		}
		b.serving.Wait()
		s.bound.Store(nil)
		return err
	})
}
