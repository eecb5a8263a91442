package otlpreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// httpServer is the listener and what serves it.
type httpServer struct {
	listener net.Listener
	server   *http.Server
	cancel   context.CancelFunc // of all requests' contexts
}

func newHTTPServer(l net.Listener, c *HTTPConfig, h *httpHandler, log *slog.Logger) *httpServer {
	ctx, cancel := context.WithCancel(context.Background())
	s := &http.Server{
		Handler: h, MaxHeaderBytes: maxHeaderBytes,
		ReadTimeout: c.ReadTimeout, ReadHeaderTimeout: c.ReadHeaderTimeout,
		WriteTimeout: c.WriteTimeout, IdleTimeout: c.IdleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	s.SetKeepAlivesEnabled(c.KeepAlivesEnabled)
	return &httpServer{listener: l, server: s, cancel: cancel}
}

func (s *httpServer) serve() error {
	if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve OTLP/HTTP on %s: %w", s.listener.Addr(), err)
	}
	return nil
}

// drain lets requests finish until ctx ends. It says whether all did.
func (s *httpServer) drain(ctx context.Context) bool {
	return s.server.Shutdown(ctx) == nil
}

// abort breaks off what drain left.
func (s *httpServer) abort() {
	s.cancel()
	_ = s.server.Close() // of sockets that nobody reads any more
}
