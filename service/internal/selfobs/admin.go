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
	"sync/atomic"
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
	// bound is nil until start, and what a reload replaces.
	bound   atomic.Pointer[boundAdmin]
	log     *slog.Logger // from start
	serving sync.WaitGroup
}

// boundAdmin is a listener with the hosts that may be asked for there.
type boundAdmin struct {
	net.Listener
	hosts hostcheck.Hosts
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
		if !s.bound.Load().hosts.Allow(r.Host) {
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
	s.log = log
	s.server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	l, err := listenAdmin(s.at)
	if err != nil {
		return err
	}
	s.serve(s.at, l)
	return nil
}

func listenAdmin(at Endpoint) (net.Listener, error) {
	l, err := config.Listen(context.Background(), config.ListenOptions{Endpoint: at.Address})
	if err != nil {
		return nil, fmt.Errorf("serve /metrics: %w; %s, or none with --set service.telemetry.metrics.level=none", err, at.hint())
	}
	return l, nil
}

// serve answers requests on l from now on, and not on the previous listener, whose
// connections stay.
func (s *adminServer) serve(at Endpoint, l net.Listener) {
	// Scrapers of other machines use any name, in particular that of a container.
	next := &boundAdmin{l, hostcheck.Of(l.Addr(), at.Address, nil, true)}
	s.at = at
	previous := s.bound.Swap(next)
	s.serving.Go(func() {
		err := s.server.Serve(l)
		if s.bound.Load() == next && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("the metrics endpoint stopped listening", slog.Any("error", err))
		}
	})
	if previous != nil {
		_ = previous.Close() // nothing depends on it any more
	}
}

// plan prepares another address. nil means that there is nothing to do.
func (s *adminServer) plan(at Endpoint) (apply, undo func(), err error) {
	if at.Address == s.at.Address {
		return func() { s.at = at }, func() {}, nil
	}
	l, err := listenAdmin(at)
	if err == nil {
		return func() { s.serve(at, l) }, func() { _ = l.Close() }, nil
	}
	if !samePort(at.Address, s.at.Address) {
		return nil, nil, err
	}
	// The two addresses may overlap, as those of localhost:8888 and 0.0.0.0:8888 do.
	if err := usableHost(at.Address); err != nil {
		return nil, nil, fmt.Errorf("serve /metrics: %w", err)
	}
	return func() { s.rebind(at) }, func() {}, nil
}

// rebind closes the listener before it opens the next. If that cannot be opened, the
// previous address is used again.
func (s *adminServer) rebind(at Endpoint) {
	previous := s.at
	_ = s.bound.Swap(&boundAdmin{closedListener{}, s.bound.Load().hosts}).Close() // it is replaced
	l, err := listenAdmin(at)
	if err != nil {
		s.log.Error("changing the address of the metrics endpoint failed; it listens on the previous one again", slog.Any("error", err))
		at = previous
		if l, err = listenAdmin(at); err != nil {
			s.log.Error("the metrics endpoint stopped listening", slog.Any("error", err))
			return
		}
	}
	s.serve(at, l)
}

// closedListener stands for the listener between two.
type closedListener struct{ net.Listener }

func (closedListener) Addr() net.Addr { return &net.TCPAddr{} }
func (closedListener) Close() error   { return nil }

func samePort(a, b string) bool {
	_, portA, errA := net.SplitHostPort(a)
	_, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB
}

// usableHost returns why there cannot be a listener on the host of an address.
func usableHost(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	l, err := config.Listen(context.Background(), config.ListenOptions{Endpoint: net.JoinHostPort(host, "0")})
	if err != nil {
		return err
	}
	return l.Close()
}

// hint tells the user how to choose another address. If the configuration
// has readers, --set cannot do it: it replaces the whole list, and rejects an
// address next to readers.
func (at Endpoint) hint() string {
	if at.Written && at.Path != metricsAddressKey {
		return "choose another port with " + at.Path
	}
	return "choose another address with " + at.Path + ", or --set " + metricsAddressKey + "=localhost:8889"
}

// shutdown lets a scrape finish until ctx ends.
func (s *adminServer) shutdown(ctx context.Context) error {
	if s.bound.Load() == nil {
		return nil
	}
	err := s.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(fmt.Errorf("shut down the metrics endpoint: %w", err), s.server.Close())
	}
	s.serving.Wait()
	return err
}
