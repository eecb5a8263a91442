// Package webserver is the HTTP server of the extensions health_check, pprof
// and zpages.
//
//	conn ─► at most 256 ─► Host known? ─► GET or HEAD? ─► at most 32 at once ─► Handler
//	                         │no: 403       │no: 405        │full: 503
//
// It listens on the loopback interface by default, accepts only host names of
// this machine (package hostcheck), reads no bodies, and limits the duration of
// connections.
//
// The one trap: everybody who can connect to the port can see the pages. There
// is no authentication, so a page must not show secrets.
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
	"github.com/penstock-telemetry/penstock/internal/hostcheck"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
)

const (
	maxConnections = 256
	maxAtOnce      = 32
	maxHeaderBytes = 16 << 10
	readTimeout    = 10 * time.Second
	idleTimeout    = time.Minute
	// retireIdle is how long idle connections are left open after the listener was handed
	// over: closing one fails a request that is being sent.
	retireIdle = 2 * time.Second
	// readWithin is how long Shutdown waits for requests that are being read, which
	// net/http's does not answer.
	readWithin = 100 * time.Millisecond
	// defaultWriteTimeout is the time from the end of the request header to the
	// end of the response.
	defaultWriteTimeout = 30 * time.Second
)

// Options are the settings of a server.
type Options struct {
	ID      string // of the extension, for errors
	Config  config.WebServer
	Log     *slog.Logger
	Handler http.Handler
	// WriteTimeout is the maximum duration of a response; 0 means 30 seconds.
	WriteTimeout time.Duration
	// OpenWhenPublic makes the server accept any host name if other machines can
	// reach its endpoint, for pages that are not confidential.
	OpenWhenPublic bool
}

// key returns the key of the endpoint in the configuration.
func (o Options) key() string {
	if o.ID == "" {
		return ""
	}
	return "extensions." + o.ID + ".endpoint"
}

// Server is one listener. Its life cycle is New, Start, Shutdown.
type Server struct {
	opts   Options
	life   lifecycle.Cycle
	hosts  hostcheck.Hosts // set by Start, before the first request
	atOnce chan struct{}
	bound  atomic.Pointer[listening] // nil if it is not running
}

// listening is the state between Start and Shutdown.
type listening struct {
	listener net.Listener
	server   *http.Server
	secure   bool
	cancel   context.CancelFunc // cancels the context of all requests
	serving  sync.WaitGroup
	open     sync.WaitGroup // connections
	retiring atomic.Bool    // each response is the last one of its connection
	retired  sync.Once
	gone     chan struct{} // closed when all connections are, after retiring
}

// New creates a server. It does not listen yet.
func New(opts Options) *Server {
	if opts.WriteTimeout == 0 {
		opts.WriteTimeout = defaultWriteTimeout
	}
	return &Server{opts: opts, atOnce: make(chan struct{}, maxAtOnce)}
}

// Start binds the endpoint and serves. A second call returns the same result.
func (s *Server) Start(ctx context.Context) error {
	return s.life.Start(func(*lifecycle.Undo) error { return s.start(ctx) })
}

func (s *Server) start(ctx context.Context) error {
	var secure *tls.Config // nil means no TLS
	if t := s.opts.Config.TLS; t != nil {
		var err error
		if secure, err = t.LoadReporting(s.notReloaded); err != nil {
			return err
		}
	}
	l, err := config.Listen(ctx, config.ListenOptions{Transport: s.opts.Config.Transport, Endpoint: s.opts.Config.Endpoint, Key: s.opts.key()})
	if err != nil {
		return err
	}
	s.hosts = hostcheck.Of(l.Addr(), s.opts.Config.Endpoint, s.opts.Config.AllowedHosts, s.opts.OpenWhenPublic)
	requests, cancel := context.WithCancel(context.WithoutCancel(ctx))
	b := &listening{listener: netutil.LimitListener(l, maxConnections), cancel: cancel, secure: secure != nil, gone: make(chan struct{})} // not TLSConfig != nil: net/http always sets it
	b.server = &http.Server{
		Handler: b.handler(s.guard), ConnState: b.count, TLSConfig: secure, MaxHeaderBytes: maxHeaderBytes,
		ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, WriteTimeout: s.opts.WriteTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return requests },
		ErrorLog:    slog.NewLogLogger(s.opts.Log.Handler(), slog.LevelDebug), // port scans cause many of these errors
	}
	b.serving.Go(func() {
		err := b.serve()
		if handedOver := b.retiring.Load() && errors.Is(err, net.ErrClosed); !handedOver && !errors.Is(err, http.ErrServerClosed) {
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

// handler ends the connections of a server that is retired.
func (b *listening) handler(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if b.retiring.Load() {
			w.Header().Set("Connection", "close")
		}
		next(w, r)
	}
}

// count counts the connections.
func (b *listening) count(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		b.open.Add(1)
	case http.StateClosed, http.StateHijacked:
		b.open.Done()
	}
}

// Retire implements component.Retirer: another server has the listener. It accepts no more
// connections, ends each with its next response, and those that are idle for retireIdle.
// It returns when all are gone or ctx has ended. Shutdown is called after it.
func (s *Server) Retire(ctx context.Context) error {
	b := s.bound.Load()
	if b == nil {
		return nil
	}
	if b.retire(ctx, retireIdle) {
		return nil
	}
	if err := b.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("retire the server on %s: finish the requests in progress: %w", b.listener.Addr(), err)
	}
	return nil
}

// retire stops to accept, and waits until the connections are gone, for at most a time or
// until ctx ends. It reports whether they are.
func (b *listening) retire(ctx context.Context, within time.Duration) bool {
	b.retired.Do(func() {
		b.retiring.Store(true)
		_ = b.listener.Close() // serve returns; an error would be of a socket that is not used any more
		b.serving.Wait()
		go func() { // Shutdown waits for it
			defer close(b.gone)
			b.open.Wait()
		}()
	})
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-b.gone:
		return true
	case <-late.C:
	case <-ctx.Done():
	}
	return false
}

func (s *Server) notReloaded(err error) {
	s.opts.Log.Warn("reloading a certificate failed; the old one stays in use", slog.Any("error", err))
}

// guard passes allowed requests to the handler.
func (s *Server) guard(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	switch {
	case !s.hosts.Allow(r.Host):
		http.Error(w, "Host name not allowed. Add it to allowed_hosts to allow it.", http.StatusForbidden)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "Only GET and HEAD are allowed.", http.StatusMethodNotAllowed)
		return
	}
	select {
	case s.atOnce <- struct{}{}:
		defer func() { <-s.atOnce }()
	default:
		h.Set("Retry-After", "1")
		http.Error(w, "Too many requests in progress.", http.StatusServiceUnavailable)
		return
	}
	s.opts.Handler.ServeHTTP(w, r)
}

// Endpoints returns the address of the server. It implements component.Server.
func (s *Server) Endpoints() []component.Endpoint {
	b := s.bound.Load()
	if b == nil {
		return nil
	}
	return []component.Endpoint{{Protocol: "HTTP", Addr: b.listener.Addr(), Secure: b.secure}}
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

// Shutdown closes the listener and cancels the context of the requests in
// progress (a profile is then sent as far as it has been recorded). It waits for
// them until ctx ends, and then aborts the rest.
func (s *Server) Shutdown(ctx context.Context) error {
	return s.life.Shutdown(func() error {
		b := s.bound.Load()
		b.cancel()
		b.retire(ctx, readWithin)
		err := b.server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("finish the requests in progress: %w", err), b.server.Close())
		}
		if err == nil { // else a handler may not return
			<-b.gone
		}
		s.bound.Store(nil)
		return err
	})
}
