package selfobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/hostcheck"
)

// An Endpoint is an address that the configuration asks to serve metrics at.
type Endpoint struct {
	Address string
	// Path is the key of the address in the configuration, for errors. Written
	// reports that the configuration contains that key.
	Path    string
	Written bool
}

const metricsAddressKey = "service.telemetry.metrics.address"

// adminServer answers /metrics, /livez and /readyz on one address.
type adminServer struct {
	at     Endpoint
	server *http.Server
	// bound is nil until start.
	bound   net.Listener
	hosts   hostcheck.Hosts // set by start, before the first request
	serving sync.WaitGroup
}

func newAdminServer(at Endpoint, registry *prometheus.Registry, ready func() bool) *adminServer {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if ready() {
			answer(w, http.StatusOK, "ready")
			return
		}
		answer(w, http.StatusServiceUnavailable, "not ready: starting or shutting down")
	})
	s := &adminServer{at: at}
	s.server = &http.Server{
		Handler: s.guard(mux), MaxHeaderBytes: 64 << 10,
		ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
	return s
}

// guard refuses the requests of web pages that had a name of theirs resolved to this
// machine.
func (s *adminServer) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.hosts.Allow(r.Host) {
			answer(w, http.StatusForbidden, "host name not allowed: expected an IP address, localhost, or the host of the configured address")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // the client may have disconnected
}

func (s *adminServer) start(log *slog.Logger) error {
	l, err := config.Listen(context.Background(), config.ListenOptions{Endpoint: s.at.Address})
	if err != nil {
		return fmt.Errorf("serve /metrics: %w; %s, or none with --set service.telemetry.metrics.level=none", err, s.addressHint())
	}
	// Scrapers of other machines use any name, in particular that of a container.
	s.bound, s.hosts = l, hostcheck.Of(l.Addr(), s.at.Address, nil, true)
	s.server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	s.serving.Go(func() {
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the metrics endpoint stopped listening", slog.Any("error", err))
		}
	})
	return nil
}

// addressHint tells the user how to choose another address. If the configuration
// has readers, --set cannot do it: it replaces the whole list, and rejects an
// address next to readers.
func (s *adminServer) addressHint() string {
	if s.at.Written && s.at.Path != metricsAddressKey {
		return "choose another port with " + s.at.Path
	}
	return "choose another address with " + s.at.Path + ", or --set " + metricsAddressKey + "=localhost:8889"
}

// shutdown lets a scrape finish until ctx ends.
func (s *adminServer) shutdown(ctx context.Context) error {
	if s.bound == nil {
		return nil
	}
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down the metrics endpoint: %w", err), s.server.Close())
	}
	s.serving.Wait()
	return err
}
