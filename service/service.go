package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/service/internal/graph"
	"github.com/penstock-telemetry/penstock/service/internal/load"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
)

// Options are the settings of an embedding program. All fields except Components
// may be zero.
type Options struct {
	// Components are the types that a configuration can name. components.Default
	// returns those of the program penstock. A program may use a longer or
	// shorter list; components that are not in the list are not linked.
	Components []component.Descriptor
	// Version is reported as service.version.
	Version string
	// Logger takes all log lines; service.telemetry.logs has no effect then.
	Logger *slog.Logger
	// Stderr and Stdout are the log outputs with these names; nil means those
	// of the process.
	Stderr, Stdout io.Writer
	// Meter records the metrics; service.telemetry.metrics has no effect then,
	// and /metrics is not served.
	Meter metric.MeterProvider
	// Tracer records the spans of requests; nil means that there are none.
	Tracer trace.TracerProvider
	// FeatureGates is a list in the format of CheckFeatureGates. Start logs a
	// warning for each unknown one.
	FeatureGates string
	// SetMemoryLimit allows the service to set the memory limit of the Go
	// runtime of the whole process (debug.SetMemoryLimit) from Start to
	// Shutdown, unless GOMEMLIMIT or the program has set one. The program
	// penstock enables it.
	SetMemoryLimit bool
	// DataDir is the directory of the queues of exporters that name no storage; it is
	// created with mode 0700. Empty: these queues are in memory, and a request is
	// answered when its destinations have it.
	DataDir string
	// DataDirOptional says that these queues are in memory, with a warning, if DataDir
	// cannot be written, which is an error of Start otherwise.
	DataDirOptional bool
	// InMemory says that these queues are in memory and that a request is acknowledged
	// when it is in the queue: what is in it is lost when the process ends.
	InMemory bool
	// DataDirNamed says that DataDir was chosen by the user: it is created for the control
	// socket, also if no queue needs it.
	DataDirNamed bool
	// ReloadCommand answers the command penstock reload, which asks over the control socket
	// in DataDir. It usually calls ReloadFrom; the text is printed, also if there is an
	// error. nil: the command is not answered.
	ReloadCommand func(context.Context) (text string, err error)
	// DrainWithin is how long Run waits for requests to finish at shutdown; 0
	// means 30 seconds.
	DrainWithin time.Duration
}

// A Service runs the pipelines of a configuration. Its life cycle is New,
// Start, Shutdown.
//
// It has two parts: process, which does not change with the configuration, and
// the graph of components that a configuration asks for.
type Service struct {
	opts    Options
	first   *load.Config                // the one of New
	cfg     atomic.Pointer[load.Config] // the one in effect; see config
	process process
	// settings are those of the components of every configuration.
	settings component.Settings
	current  atomic.Pointer[graph.Graph] // see graph
	ready    atomic.Bool                 // all listeners are bound, and Shutdown has not begun
	// readySince is set before ready.
	readySince time.Time

	control    *control.Server // of DataDir; nil: graph has one if it has queues there
	reloads    reloads
	retirement retirement // of the holder of reloads
	life       lifecycle.Cycle
}

// process holds what belongs to the process: its log, its metrics with their
// endpoint, and its memory budget.
type process struct {
	log     *selfobs.Logging
	metrics *selfobs.Metrics
	traces  *selfobs.Traces
	memory  *memory
	// unmeasure ends the measurement of memory, which refers to the budget.
	unmeasure func() error
	reloads   *obsreport.Reloads
	// waiting has the keys of service.telemetry that take effect at the next start.
	waiting map[string]bool
}

// New creates all components of a configuration and starts none. Its error is a
// ConfigErrors if a component rejects its settings.
func New(cfg *Config, opts Options) (*Service, error) {
	s := &Service{opts: opts, first: cfg.loaded}
	s.cfg.Store(cfg.loaded)
	if s.opts.DrainWithin == 0 {
		s.opts.DrainWithin = 30 * time.Second
	}
	if err := s.newProcess(); err != nil {
		return nil, err
	}
	s.settings = component.Settings{
		Logger: s.process.log.Logger, Meter: s.process.metrics.Provider, Tracer: s.process.traces.Provider, Memory: s.process.memory.budget, Host: host{s},
		MetricsLevel: s.metricsLevel(),
	}.OrDefaults()
	s.reloads.init(cfg.loaded.Read)
	s.newControl()
	g, err := graph.Build(s.config(), s.settings, graph.Data{Dir: opts.DataDir, Optional: opts.DataDirOptional, InMemory: opts.InMemory, Control: s.control})
	if err != nil {
		_ = s.process.unmeasure() // the error of Build says what is wrong
		return nil, err
	}
	s.current.Store(g)
	return s, nil
}

// graph returns the one of the configuration in effect.
func (s *Service) graph() *graph.Graph { return s.current.Load() }

// config returns the configuration in effect, which a reload replaces.
func (s *Service) config() *load.Config { return s.cfg.Load() }

// metricsLevel returns how much components measure. The level of the
// configuration is that of the service's own metrics; with Options.Meter it is
// normal unless the configuration asks for more.
func (s *Service) metricsLevel() component.Level {
	level, _ := component.LevelByName(s.config().Telemetry.Metrics.Level)
	if s.opts.Meter != nil {
		level = max(level, component.LevelNormal)
	}
	return level
}

// newProcess creates the log, metrics and memory budget that the configuration
// asks for.
func (s *Service) newProcess() error {
	cfg := s.config()
	t := cfg.Telemetry.Effective()
	res := t.Resource.Build(s.opts.Version, selfobs.NewInstanceID())
	p := &s.process
	p.log = selfobs.NewLogging(t.Logs, res, s.outputs())
	p.traces = selfobs.NewTraces(t.Traces, res, s.opts.Tracer)
	measured := selfobs.MetricsOptions{Given: s.opts.Meter, Ready: s.isReady, Pages: cfg.HasExtension("zpages")}
	measured.Endpoints = endpoints(cfg)
	var err error
	if p.metrics, err = selfobs.NewMetrics(t.Metrics, res, measured); err != nil {
		return err
	}
	if p.memory, err = newMemory(cfg, detectMemory(), thisRuntime(s.opts.SetMemoryLimit)); err != nil {
		return err
	}
	if p.reloads, err = obsreport.NewReloads(p.metrics.Provider); err != nil {
		return err
	}
	p.unmeasure, err = selfobs.MeasureAdmission(p.metrics.Provider, p.memory.budget)
	return err
}

// endpoints returns the addresses at which a configuration serves metrics.
func endpoints(cfg *load.Config) (all []selfobs.Endpoint) {
	for _, at := range cfg.MetricsListeners {
		all = append(all, selfobs.Endpoint{Address: at.Address, Path: at.Path, Written: at.Written})
	}
	return all
}

// outputs returns what replaces the log and the outputs of the process.
func (s *Service) outputs() selfobs.Outputs {
	o := selfobs.Outputs{Logger: s.opts.Logger, Stderr: s.opts.Stderr, Stdout: s.opts.Stdout}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	return o
}

// Start starts everything, extensions first and receivers last, and returns when
// all listeners are bound. If a part fails to start, those that were started are
// shut down again. A second call returns the same result.
func (s *Service) Start(ctx context.Context) error {
	err := s.life.Start(func(undo *lifecycle.Undo) error {
		undo.Add(func() error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainWithin)
			defer cancel()
			return errors.Join(s.stop(ctx), s.process.log.Close())
		})
		return s.start(ctx)
	})
	if err == lifecycle.ErrShutDown {
		return fmt.Errorf("start the service: %w", err)
	}
	return err
}

func (s *Service) start(ctx context.Context) error {
	p := &s.process
	if err := p.log.Open(); err != nil {
		return err
	}
	for _, text := range slices.Concat(CheckFeatureGates(s.opts.FeatureGates), s.config().Warnings(), p.memory.warnings) {
		p.log.Warn(text)
	}
	p.memory.apply()
	stdout := s.outputs().Stdout
	if err := errors.Join(p.metrics.Start(p.log.Local(), stdout), p.traces.Start(p.log.Local(), stdout)); err != nil {
		return err
	}
	s.openControl()
	if err := s.graph().Start(ctx); err != nil {
		return err
	}
	s.readySince = time.Now()
	p.reloads.Began(s.readySince)
	s.ready.Store(true)
	p.log.Announce(s.summary())
	return nil
}

// Shutdown stops the receivers, waits until their requests have passed through
// the pipelines, and stops the other components front to back. If ctx ends
// first, the remaining requests are aborted, and Shutdown returns an error. A
// second call returns the same result.
func (s *Service) Shutdown(ctx context.Context) error {
	return s.life.Shutdown(func() error {
		if s.reloads.end(ctx) {
			_ = s.retirement.wait(ctx, hurryWithin)
			s.retirement.cutOff()
		}
		log := s.process.log
		log.Info("shutting down: taking no more requests, finishing those in progress")
		err := s.stop(ctx)
		if err == nil {
			log.Info("shut down; no request is left in progress")
		}
		return errors.Join(err, log.Close())
	})
}

// stop undoes what start did.
func (s *Service) stop(ctx context.Context) error {
	s.ready.Store(false)
	err := s.graph().Shutdown(ctx)
	if s.control != nil {
		err = errors.Join(err, s.control.Shutdown(ctx))
	}
	err = errors.Join(err, graph.Within(ctx, "shut down the metrics endpoint", s.process.metrics.Shutdown))
	err = errors.Join(err, graph.Within(ctx, "send the last spans", s.process.traces.Shutdown))
	s.process.memory.restore()
	return errors.Join(err, s.process.unmeasure())
}

// Logger returns the log of the service: Options.Logger, or the one that the
// configuration asks for.
func (s *Service) Logger() *slog.Logger { return s.process.log.Logger }

// Run starts the service, waits for ctx to end, and shuts down within
// Options.DrainWithin.
func (s *Service) Run(ctx context.Context) error {
	return pipeline.Run(ctx, s.opts.DrainWithin, s)
}
