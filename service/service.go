package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/service/internal/graph"
	"github.com/penstock-telemetry/penstock/service/internal/load"
	"github.com/penstock-telemetry/penstock/service/internal/selfobs"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Options are what an embedder can bring. All but Components may be zero, and are
// then what the program penstock runs with.
type Options struct {
	// Components are the types that a configuration can name. components.Default
	// has those of the program penstock; a list of one's own may add to it, or be
	// shorter: what is not in it is not linked.
	Components []component.Descriptor
	// Version is reported as service.version.
	Version string
	// Logger takes the log; the section service.telemetry.logs says nothing then.
	Logger *slog.Logger
	// Stderr and Stdout are what the log means by these names; nil: the
	// process's own.
	Stderr, Stdout io.Writer
	// Meter takes the measurements; service.telemetry.metrics says nothing then,
	// and there is no /metrics.
	Meter metric.MeterProvider
	// Tracer takes the spans of requests; nil: nobody.
	Tracer trace.TracerProvider
	// FeatureGates is a list as CheckFeatureGates takes it. What is unknown in it
	// is warned about.
	FeatureGates string
	// SetMemoryLimit gives the Go runtime of the whole process a memory limit
	// (debug.SetMemoryLimit) from Start to Shutdown, unless GOMEMLIMIT or the
	// program has set one. The program penstock does.
	SetMemoryLimit bool
	// DrainWithin is how long Run lets requests finish; 0: 30 seconds.
	DrainWithin time.Duration
}

// A Service is running pipelines, or ones that could run. Its life is New,
// Start, Shutdown.
//
// It has two parts: what belongs to the process and would outlive a change of the
// configuration, and the graph that a configuration asks for.
type Service struct {
	opts    Options
	cfg     *load.Config
	process process
	graph   *graph.Graph
	ready   atomic.Bool // all listeners are bound, and none is draining
	// readySince is set before ready.
	readySince time.Time

	mu       sync.Mutex // held by Start and Shutdown
	phase    phase
	startErr error
	stopErr  error
}

// process is what belongs to the process: its log, its metrics with their
// endpoint, and the budget of its memory.
type process struct {
	log     *selfobs.Logging
	metrics *selfobs.Metrics
	memory  *memory
}

type phase uint8

const (
	created phase = iota
	running
	stopped
)

// New makes all components of a configuration and starts nothing. Its error is a
// ConfigErrors if a component refuses its settings.
func New(cfg *Config, opts Options) (*Service, error) {
	s := &Service{opts: opts, cfg: cfg.loaded}
	if s.opts.DrainWithin == 0 {
		s.opts.DrainWithin = 30 * time.Second
	}
	if err := s.newProcess(); err != nil {
		return nil, err
	}
	settings := component.Settings{
		Logger: s.process.log.Logger, Meter: s.process.metrics.Provider, Tracer: opts.Tracer, Memory: s.process.memory.budget, Host: host{s},
	}.OrDefaults()
	var err error
	if s.graph, err = graph.Build(s.cfg, settings); err != nil {
		return nil, err
	}
	return s, nil
}

// newProcess makes what belongs to the process, as the configuration says.
func (s *Service) newProcess() error {
	t := &s.cfg.Telemetry
	res := t.Resource.Build(s.opts.Version, selfobs.NewInstanceID())
	p := &s.process
	p.log = selfobs.NewLogging(t.Logs, res, selfobs.Outputs{Logger: s.opts.Logger, Stderr: s.opts.Stderr, Stdout: s.opts.Stdout})
	measured := selfobs.MetricsOptions{Given: s.opts.Meter, Ready: s.isReady, Pages: s.cfg.HasExtension("zpages")}
	for _, at := range s.cfg.MetricsListeners {
		measured.Endpoints = append(measured.Endpoints, selfobs.Endpoint{Address: at.Address, Path: at.Path, Written: at.Written})
	}
	var err error
	if p.metrics, err = selfobs.NewMetrics(t.Metrics, res, measured); err != nil {
		return err
	}
	if p.memory, err = newMemory(s.cfg, detectMemory(), thisRuntime(s.opts.SetMemoryLimit)); err != nil {
		return err
	}
	return selfobs.MeasureAdmission(p.metrics.Provider, p.memory.budget)
}

// Start starts everything, extensions first and receivers last, and returns when
// all listeners are bound. If a part does not start, those that did are shut down
// again. A second call returns what the first did.
func (s *Service) Start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase == running || s.startErr != nil:
		return s.startErr
	case s.phase == stopped:
		return errors.New("start the service: it was shut down")
	}
	s.phase = running
	if s.startErr = s.start(ctx); s.startErr != nil {
		s.phase = stopped
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainWithin)
		defer cancel()
		s.startErr = errors.Join(s.startErr, s.stop(undo), s.process.log.Close())
	}
	return s.startErr
}

func (s *Service) start(ctx context.Context) error {
	p := &s.process
	if err := p.log.Open(); err != nil {
		return err
	}
	for _, text := range slices.Concat(CheckFeatureGates(s.opts.FeatureGates), s.cfg.Warnings(), p.memory.warnings) {
		p.log.Warn(text)
	}
	p.memory.apply()
	if err := p.metrics.Start(p.log.Logger); err != nil {
		return err
	}
	if err := s.graph.Start(ctx); err != nil {
		return err
	}
	s.readySince = time.Now()
	s.ready.Store(true)
	p.log.Announce(s.summary())
	return nil
}

// Shutdown stops the receivers, lets what they took pass through, and stops the
// rest front to back. When ctx ends first, what is left is broken off, and the
// error says so. A second call returns what the first did.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == running {
		log := s.process.log
		log.Info("shutting down: taking no more requests, finishing those in progress")
		s.stopErr = s.stop(ctx)
		if s.stopErr == nil {
			log.Info("shut down; no request is left in progress")
		}
		s.stopErr = errors.Join(s.stopErr, log.Close())
	}
	s.phase = stopped
	return s.stopErr
}

// stop undoes what start did.
func (s *Service) stop(ctx context.Context) error {
	s.ready.Store(false)
	err := s.graph.Shutdown(ctx)
	err = errors.Join(err, graph.Within(ctx, "shut down the metrics endpoint", s.process.metrics.Shutdown))
	s.process.memory.restore()
	return err
}

// Run starts the service, waits for ctx to end, and shuts down within
// Options.DrainWithin.
func (s *Service) Run(ctx context.Context) error {
	if err := s.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.opts.DrainWithin)
	defer cancel()
	return s.Shutdown(drain)
}
