// Package pprofextension is the extension "pprof": Go's profiles of the running
// process, for go tool pprof.
//
//	go tool pprof http://localhost:1777/debug/pprof/profile
//	              http://localhost:1777/debug/pprof/heap
//	                                               /trace?seconds=5
//
// The one trap: everybody who can connect to the port can read memory
// addresses, function names and goroutine stacks, and can slow the process
// down. It is for localhost. The command line, which may contain a secret, is
// not shown.
package pprofextension

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"runtime"
	runtimepprof "runtime/pprof"
	"strconv"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/extension/internal/webserver"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
)

// maxProfile is the maximum duration of a profile or trace. net/http/pprof has
// no limit: it extends the server's write timeout.
const maxProfile = 10 * time.Minute

// Config is the extension's section of a configuration, with the keys of the
// OpenTelemetry Collector and their meaning. Start from DefaultConfig.
type Config struct {
	Server config.WebServer `yaml:",inline"`
	// BlockProfileFraction is the mean blocking time in nanoseconds between two
	// samples; 0 means off (runtime.SetBlockProfileRate).
	BlockProfileFraction int `yaml:"block_profile_fraction"`
	// MutexProfileFraction n samples one of n mutex contentions; 0 means off
	// (runtime.SetMutexProfileFraction).
	MutexProfileFraction int `yaml:"mutex_profile_fraction"`
	// SaveToFile is a file for a CPU profile from Start to Shutdown.
	SaveToFile string `yaml:"save_to_file"`

	DialerConfig config.Ignored `yaml:"dialer,omitempty"`
}

// DefaultConfig returns the configuration of an empty section.
func DefaultConfig() Config {
	return Config{Server: config.WebServer{Endpoint: "localhost:1777", Transport: "tcp"}}
}

// Validate checks the section.
func (c *Config) Validate() error {
	var errs []error
	if c.BlockProfileFraction < 0 {
		errs = append(errs, config.Atf("block_profile_fraction", "expected 0 or more, found %d", c.BlockProfileFraction))
	}
	if c.MutexProfileFraction < 0 {
		errs = append(errs, config.Atf("mutex_profile_fraction", "expected 0 or more, found %d", c.MutexProfileFraction))
	}
	return errors.Join(errs...)
}

// Warnings returns the settings that are valid but suspicious.
func (c *Config) Warnings() []string {
	all := c.Server.Warnings()
	if c.DialerConfig.Written() {
		all = append(all, "dialer has no effect")
	}
	return all
}

// Extension is the endpoint. The sampling rates are global in the process: of
// two extensions of this type the one that was started last sets them.
type Extension struct {
	server *webserver.Server
	cfg    Config
	life   lifecycle.Cycle
	file   *os.File // of SaveToFile, while it is written; used by Start and Shutdown only
}

// New creates the endpoint. It does not listen yet.
func New(cfg Config, set component.Settings) (*Extension, error) {
	set = set.OrDefaults()
	if err := errors.Join(cfg.Validate(), cfg.Server.Validate()); err != nil {
		return nil, fmt.Errorf("extension %q: %w", set.ID, err)
	}
	mux := http.NewServeMux() // not the default one, with which any package can register handlers
	mux.Handle("/{$}", http.RedirectHandler("/debug/pprof/", http.StatusFound))
	mux.HandleFunc("/debug/pprof/", bounded(pprof.Index))
	mux.HandleFunc("/debug/pprof/cmdline", programName)
	mux.HandleFunc("/debug/pprof/profile", bounded(pprof.Profile))
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", bounded(pprof.Trace))
	return &Extension{cfg: cfg, server: webserver.New(webserver.Options{ID: set.ID, Config: cfg.Server, Log: set.Logger, Handler: mux})}, nil
}

// bounded refuses profiles that are too long.
func bounded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if seconds, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && !(seconds <= maxProfile.Seconds()) {
			http.Error(w, fmt.Sprintf("Expected seconds up to %v.", maxProfile.Seconds()), http.StatusBadRequest)
			return
		}
		h(w, r)
	}
}

// programName responds with only the first word of the command line: the others
// may contain secrets (--set exporters.otlp.headers.authorization=…).
func programName(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, filepath.Base(os.Args[0])) // the client may have disconnected
}

// Start binds the endpoint and starts sampling. A second call returns the same
// result.
func (e *Extension) Start(ctx context.Context) error {
	return e.life.Start(func(undo *lifecycle.Undo) error {
		if err := e.server.Start(ctx); err != nil {
			return err
		}
		undo.Add(func() error { return e.server.Shutdown(ctx) })
		if err := e.save(); err != nil {
			return fmt.Errorf("save_to_file: %w", err)
		}
		e.sample(e.cfg.BlockProfileFraction, e.cfg.MutexProfileFraction)
		return nil
	})
}

// sample sets the rates that are configured. Others may be of another extension, which this
// one replaces.
func (e *Extension) sample(block, mutex int) {
	if e.cfg.BlockProfileFraction > 0 {
		runtime.SetBlockProfileRate(block)
	}
	if e.cfg.MutexProfileFraction > 0 {
		runtime.SetMutexProfileFraction(mutex)
	}
}

func (e *Extension) save() error {
	if e.cfg.SaveToFile == "" {
		return nil
	}
	f, err := os.OpenFile(e.cfg.SaveToFile, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := runtimepprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	e.file = f
	return nil
}

// Shutdown stops sampling and closes the endpoint.
func (e *Extension) Shutdown(ctx context.Context) error {
	return e.life.Shutdown(func() error {
		e.sample(0, 0)
		var err error
		if e.file != nil {
			runtimepprof.StopCPUProfile() // writes the file
			if err = e.file.Close(); err != nil {
				err = fmt.Errorf("save_to_file: %w", err)
			}
		}
		return errors.Join(err, e.server.Shutdown(ctx))
	})
}

// Retire implements component.Retirer.
func (e *Extension) Retire(ctx context.Context) error { return e.server.Retire(ctx) }

// Endpoints implements component.Server.
func (e *Extension) Endpoints() []component.Endpoint { return e.server.Endpoints() }
