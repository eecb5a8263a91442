package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/filewatch"
	"github.com/penstock-telemetry/penstock/internal/hostcheck"
)

// causes are what makes a running process reload besides the command: SIGHUP, changed
// files, and requests over HTTP.
type causes struct {
	r       *reloader
	log     *slog.Logger
	cancel  context.CancelFunc
	running sync.WaitGroup
	stops   []func()
}

// reloadCauses begins to wait for what the flags ask for. SIGHUP without it would end the
// process without draining.
func (a *app) reloadCauses(r *reloader) (*causes, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &causes{r: r, log: r.svc.Logger(), cancel: cancel}
	c.hangups(ctx)
	if a.watch {
		if err := c.files(ctx); err != nil {
			c.stop()
			return nil, fmt.Errorf("--watch: %w", err)
		}
	}
	if a.reloadAddress != "" {
		if err := c.listen(a.reloadAddress); err != nil {
			c.stop()
			return nil, fmt.Errorf("--reload-address: %w", err)
		}
	}
	return c, nil
}

// stop ends the waiting, and waits for a reload that is in progress.
func (c *causes) stop() {
	c.cancel()
	for _, stop := range c.stops {
		stop()
	}
	c.running.Wait()
}

// hangups reloads at SIGHUP. Those that arrive during a reload are one.
func (c *causes) hangups(ctx context.Context) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	c.stops = append(c.stops, func() { signal.Stop(signals) })
	c.running.Go(func() {
		if !c.r.svc.awaitStart(ctx) {
			return
		}
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			if c.r.svc.isDraining() {
				c.log.Info("received SIGHUP: nothing is reloaded while the process shuts down")
				continue
			}
			_, _ = c.r.reload(ctx, "SIGHUP") // it is logged
		}
	})
}

// files reloads when the content of the configuration's files changes.
func (c *causes) files(ctx context.Context) error {
	files := c.r.svc.SourceFiles()
	w, err := filewatch.New(files)
	if err != nil {
		return err
	}
	c.stops = append(c.stops, func() { _ = w.Close() }) // nothing depends on it any more
	if len(files) == 0 {
		c.log.Warn("--watch has no effect: the configuration is read from no file")
	}
	c.running.Go(func() {
		if !c.r.svc.awaitStart(ctx) {
			return
		}
		c.r.reloadChanged(ctx) // since the configuration was loaded
		w.Run(ctx, func() []string {
			c.r.reloadChanged(ctx)
			return c.r.svc.SourceFiles()
		}, func(err error) {
			c.log.Warn("watching the files of the configuration failed; SIGHUP reloads", slog.Any("error", err))
		})
	})
	return nil
}

// reloadHTTPTimeout bounds the reading of a request to reload, which has no body.
const reloadHTTPTimeout = 10 * time.Second

// listen answers POST /-/reload and POST /reload.
func (c *causes) listen(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("expected host:port such as localhost:8890, found %q", address)
	}
	if host == "" {
		address = "localhost" + address
	}
	l, err := config.Listen(context.Background(), config.ListenOptions{Endpoint: address})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: c.handler(hostcheck.Of(l.Addr(), address, nil, true)), ReadTimeout: reloadHTTPTimeout, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelWarn)}
	c.log.Info("requests to reload are answered", slog.String("url", "http://"+l.Addr().String()+"/-/reload"))
	c.running.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			c.log.Error("the address of --reload-address does not listen any more", slog.Any("error", err))
		}
	})
	c.stops = append(c.stops, func() {
		ctx, cancel := context.WithTimeout(context.Background(), reloadHTTPTimeout)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
	return nil
}

// handler refuses the requests of web pages.
func (c *causes) handler(hosts hostcheck.Hosts) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"/-/reload", "/reload"} {
		mux.Handle("POST "+path, control.Reload(c.r.command))
	}
	guarded := http.NewCrossOriginProtection().Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !hosts.Allow(q.Host) {
			http.Error(w, "host name not allowed: expected an IP address, localhost, or the host of the configured address", http.StatusForbidden)
			return
		}
		guarded.ServeHTTP(w, q)
	})
}
