package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// abandonAfter is how long a component may overrun the deadline of Shutdown
// before it is left behind. Components cut short what is left at the deadline,
// for which the receiver allows itself a second.
const abandonAfter = 2 * time.Second

// Options are what an embedder can bring. The zero value is what the program
// penstock runs with.
type Options struct {
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
	// DrainWithin is how long Run lets requests finish; 0: 30 seconds.
	DrainWithin time.Duration
}

// A Service is running pipelines, or ones that could run. Its life is New,
// Start, Shutdown.
type Service struct {
	opts    Options
	cfg     *Config
	log     *logging
	metrics *metrics
	memory  *memory
	graph   *graph
	ready   atomic.Bool // all listeners are bound, and none is draining
	// readySince is set before ready.
	readySince time.Time

	mu       sync.Mutex // held by Start and Shutdown
	phase    phase
	startErr error
	stopErr  error
	started  []part
}

type phase uint8

const (
	created phase = iota
	running
	stopped
)

// New makes all components of a configuration and starts nothing. Its error is a
// ConfigErrors if a component does not like its settings.
func New(cfg *Config, opts Options) (*Service, error) {
	s := &Service{opts: opts, cfg: cfg}
	if s.opts.DrainWithin == 0 {
		s.opts.DrainWithin = 30 * time.Second
	}
	res := cfg.telemetry.Resource.build(opts.Version, newInstanceID())
	s.log = newLogging(cfg.telemetry.Logs, res, opts)
	var err error
	if s.metrics, err = newMetrics(cfg, res, opts.Meter, s.isReady); err != nil {
		return nil, err
	}
	if s.memory, err = newMemory(cfg, detectMemory(), thisRuntime()); err != nil {
		return nil, err
	}
	if err = measureAdmission(s.metrics.provider, s.memory.budget); err != nil {
		return nil, err
	}
	settings := component.Settings{
		Logger: s.log.Logger, Meter: s.metrics.provider, Tracer: opts.Tracer, Memory: s.memory.budget,
	}.OrDefaults()
	if s.graph, err = build(cfg, settings, host{readiness: s.readiness, snapshot: s.snapshot}); err != nil {
		return nil, err
	}
	return s, nil
}

// Start starts everything, extensions first and receivers last, and returns when all listeners are
// bound. If a part does not start, those that did are shut down again. A second
// call returns what the first did.
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
		s.startErr = errors.Join(s.startErr, s.stop(undo), s.log.close())
	}
	return s.startErr
}

func (s *Service) start(ctx context.Context) error {
	if err := s.log.open(); err != nil {
		return err
	}
	for _, text := range slices.Concat(CheckFeatureGates(s.opts.FeatureGates), s.cfg.Warnings(), s.memory.warnings) {
		s.log.Warn(text)
	}
	s.memory.apply()
	if err := s.metrics.start(s.log.Logger); err != nil {
		return err
	}
	for _, p := range s.graph.parts {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("start %s: %w", p.name, context.Cause(ctx))
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
		s.started = append(s.started, p)
	}
	s.readySince = time.Now()
	s.ready.Store(true)
	s.log.announce(s.summary())
	return nil
}

// Shutdown stops the receivers, lets what they took pass through, and stops the
// rest front to back. When ctx ends first, what is left is broken off, and the
// error says so. A second call returns what the first did.
func (s *Service) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == running {
		s.log.Info("shutting down: taking no more requests, finishing those under way")
		s.stopErr = s.stop(ctx)
		if s.stopErr == nil {
			s.log.Info("shut down; nothing is left under way")
		}
		s.stopErr = errors.Join(s.stopErr, s.log.close())
	}
	s.phase = stopped
	return s.stopErr
}

// stop undoes what start did.
func (s *Service) stop(ctx context.Context) error {
	s.ready.Store(false)
	var errs []error
	for _, p := range slices.Backward(s.started) {
		errs = append(errs, within(ctx, "shut down "+p.name, p.Shutdown))
	}
	s.started = nil
	errs = append(errs, within(ctx, "shut down the metrics endpoint", s.metrics.shutdown))
	s.memory.restore()
	return errors.Join(errs...)
}

// within runs stop, which has to mind ctx. One that does not is left behind:
// the others want to be stopped too.
func within(ctx context.Context, doing string, stop func(context.Context) error) error {
	done := make(chan error, 1)
	go func() { done <- stop(ctx) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(abandonAfter)
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return fmt.Errorf("%s: left behind, it does not end %s after the deadline: %w", doing, abandonAfter, ctx.Err())
	}
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

func quote(s string) string { return strconv.Quote(s) }
