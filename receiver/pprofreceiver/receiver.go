package pprofreceiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/reporter"
)

// Receiver is the component: an Engine whose sink is a reporter that hands its
// requests to a consumer. Its life is New, Register, Start, Shutdown.
type Receiver struct {
	cfg Config
	set component.Settings

	mu       sync.Mutex
	phase    phase
	startErr error
	next     pipeline.Consumer
	engine   *Engine
	reporter *reporter.OTLPReporter
	held     *obsreport.HeldItems

	stop    sync.Once
	stopErr error
}

type phase uint8

const (
	created phase = iota
	started
	stopped
)

// received is the signals that the receiver makes.
var received = map[otlp.Signal]bool{otlp.Profiles: true}

// New makes a receiver. It opens nothing.
func New(cfg Config, set component.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	set = set.OrDefaults()
	set.Logger = set.Logger.With(slog.String("receiver", set.ID))
	return &Receiver{cfg: cfg, set: set}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// Register names the consumer of profiles, once, before Start.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !received[s] || c == nil:
		return fmt.Errorf("receiver %q: register %v for %s: expected a consumer of profiles", r.set.ID, c, s)
	case r.phase != created:
		return fmt.Errorf("receiver %q: register a consumer of %s: it was started already", r.set.ID, s)
	case r.next != nil:
		return fmt.Errorf("receiver %q: register a consumer of %s: it has one already", r.set.ID, s)
	}
	r.next = c
	return nil
}

// Start begins to fetch. A second call returns what the first did.
func (r *Receiver) Start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch r.phase {
	case started:
		return r.startErr
	case stopped:
		return fmt.Errorf("receiver %q: start: it was shut down", r.set.ID)
	}
	r.phase = started
	if err := r.open(ctx); err != nil {
		r.startErr = fmt.Errorf("start receiver %q: %w", r.set.ID, err)
	}
	return r.startErr
}

func (r *Receiver) open(ctx context.Context) error {
	if r.next == nil {
		return errors.New("nobody takes its profiles: expected a pipeline of profiles")
	}
	rep, err := reporter.NewOTLP(reporter.OTLPConfig{Consumer: r.next, Logger: r.set.Logger, Name: "penstock/pprofreceiver"})
	if err != nil {
		return err
	}
	engine, err := NewEngine(r.cfg, r.set, rep)
	if err != nil {
		return err
	}
	held, err := obsreport.NewHeldItems(r.set.ID, r.set.Meter, func(s otlp.Signal) obsreport.HeldStats {
		stats := rep.Stats()
		f := stats.Of(s)
		return obsreport.HeldStatsOf(f.Acknowledged, f.Held, f.Dropped)
	}, otlp.Profiles)
	if err != nil {
		return err
	}
	if err := rep.Start(ctx); err != nil {
		return errors.Join(err, held.Close())
	}
	if err := engine.Start(ctx); err != nil {
		return errors.Join(err, rep.Shutdown(ctx), held.Close())
	}
	r.engine, r.reporter, r.held = engine, rep, held
	return nil
}

// Shutdown breaks off what is being fetched, and sends what was fetched until ctx
// ends.
func (r *Receiver) Shutdown(ctx context.Context) error {
	r.stop.Do(func() {
		r.mu.Lock()
		r.phase = stopped
		engine, rep := r.engine, r.reporter
		r.mu.Unlock()
		if engine == nil {
			return
		}
		if err := errors.Join(engine.Shutdown(ctx), rep.Shutdown(ctx), r.held.Close()); err != nil {
			r.stopErr = fmt.Errorf("shut down receiver %q: %w", r.set.ID, err)
		}
	})
	return r.stopErr
}

// Stats returns what was fetched since Start.
func (r *Receiver) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.engine == nil {
		return Stats{}
	}
	return r.engine.Stats()
}
