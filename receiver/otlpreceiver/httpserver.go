package otlpreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/rs/cors"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

const (
	// httpStreams is the number of requests in progress on one HTTP/2 connection.
	httpStreams = 256
	// The windows of HTTP/2 bound what a connection may send ahead of being read.
	httpConnWindowBytes   = 1 << 20
	httpStreamWindowBytes = 256 << 10
)

// httpServer is the listener and what serves it.
type httpServer struct {
	listener *conns.Listener
	server   *http.Server
	cancel   context.CancelFunc // of all requests' contexts
	retiring *atomic.Bool       // of the handler
	served   chan struct{}      // closed when serve has returned
	pace     *frontend.Pace
}

func newHTTPServer(l *conns.Listener, c *HTTPConfig, h *httpHandler, secure *tls.Config, p *frontend.Pace, shakes *frontend.Handshakes) *httpServer {
	ctx, cancel := context.WithCancel(context.Background())
	keep, idle := c.idle()
	s := &http.Server{
		Handler: outer(c, h), MaxHeaderBytes: maxHeaderBytes, TLSConfig: secure,
		ReadTimeout: c.ReadTimeout, ReadHeaderTimeout: c.ReadHeaderTimeout,
		WriteTimeout: c.WriteTimeout, IdleTimeout: idle,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: rememberConn,
		ConnState:   noteEstablished,
		ErrorLog:    log.New(frontend.HTTPErrors{Handshakes: shakes}, "", 0),
		Protocols:   new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          httpStreams,
			MaxReceiveBufferPerConnection: httpConnWindowBytes,
			MaxReceiveBufferPerStream:     httpStreamWindowBytes,
			WriteByteTimeout:              p.WriteStall,
		},
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(secure != nil && slices.Contains(secure.NextProtos, "h2"))
	s.Protocols.SetUnencryptedHTTP2(secure == nil)
	s.SetKeepAlivesEnabled(keep)
	return &httpServer{listener: l, server: s, cancel: cancel, retiring: &h.retiring, served: make(chan struct{}), pace: p}
}

// rememberConn puts the connection where requests find it.
func rememberConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conns.Below(c))
}

// noteEstablished notes that a client has begun to send.
func noteEstablished(c net.Conn, s http.ConnState) {
	if s != http.StateNew {
		conns.Below(c).SetEstablished()
	}
}

// outer is what is around the handler, outermost first as in the Collector:
// response_headers, cors.
func outer(c *HTTPConfig, h http.Handler) http.Handler {
	if o := c.CORS; o != nil && len(o.AllowedOrigins) > 0 {
		h = cors.New(cors.Options{
			AllowedOrigins: o.AllowedOrigins, AllowedHeaders: o.headers(), ExposedHeaders: o.ExposedHeaders,
			MaxAge: o.MaxAge, AllowCredentials: true,
			OptionsPassthrough: true, // to count and log what is refused
		}).Handler(h)
	}
	if len(c.ResponseHeaders) > 0 {
		h = withHeaders(c.ResponseHeaders, h)
	}
	return h
}

// headers returns the headers that pages may set. Without Content-Type they could send
// nothing but text.
func (o *CORSConfig) headers() []string {
	if len(o.AllowedHeaders) == 0 {
		return nil // the default has it
	}
	return append([]string{"Content-Type"}, o.AllowedHeaders...)
}

func withHeaders(all config.Headers, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, h := range all {
			w.Header().Set(h.Name, string(h.Value))
		}
		next.ServeHTTP(w, r)
	})
}

func (s *httpServer) serve() error {
	defer close(s.served)
	serve := s.server.Serve
	if s.server.TLSConfig != nil {
		serve = func(l net.Listener) error { return s.server.ServeTLS(l, "", "") }
	}
	err := serve(s.listener)
	switch {
	case errors.Is(err, http.ErrServerClosed), s.retiring.Load() && errors.Is(err, net.ErrClosed):
	default:
		return fmt.Errorf("serve OTLP/HTTP on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// drain lets requests finish until ctx ends. It reports whether all did.
func (s *httpServer) drain(ctx context.Context) bool {
	s.listener.CloseHandshakes() // net/http would give them five seconds
	return s.server.Shutdown(ctx) == nil
}

// retire stops to accept, ends each connection with its next response, and those that are
// idle for a while (Pace.RetireIdle), and waits for that until ctx ends. It reports whether all are gone.
func (s *httpServer) retire(ctx context.Context) bool {
	s.retiring.Store(true)
	_ = s.listener.Close() // serve returns; an error would be of a socket that is not used any more
	<-s.served
	idle, cancel := context.WithTimeout(ctx, s.pace.RetireIdle)
	defer cancel()
	return s.listener.WaitClosed(idle) == nil || s.server.Shutdown(ctx) == nil
}

// speaksHTTP2 reports whether c allows a cipher suite that HTTP/2 requires for
// TLS 1.2 (RFC 9113, section 9.2.2). Without one net/http does not serve at all.
func speaksHTTP2(c *tls.Config) bool {
	return c.CipherSuites == nil || c.MinVersion >= tls.VersionTLS13 ||
		slices.Contains(c.CipherSuites, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256) ||
		slices.Contains(c.CipherSuites, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)
}

// abort closes the connections that drain left open.
func (s *httpServer) abort() {
	s.cancel()
	_ = s.server.Close() // the error is of sockets that are no longer used
}
