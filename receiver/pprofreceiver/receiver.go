package pprofreceiver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/google/pprof/profile"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/control"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/held"
	"github.com/penstock-telemetry/penstock/reporter"
)

// Receiver is the component: an Engine whose sink is a reporter that hands its
// requests to a consumer. Its life is New, Register, Start, Shutdown.
type Receiver struct {
	cfg  Config
	set  component.Settings
	life *lifecycle.Cycle
	next *pipeline.Switch // nil until Register

	rewiring sync.Mutex
	replaced []*pipeline.Turned // consumers that calls may still be in

	running atomic.Pointer[running] // nil until started
}

// running is what Start makes.
type running struct {
	engine   *Engine
	reporter *reporter.OTLPReporter
	account  *held.Account // of the reporter
	held     *obsreport.HeldItems
}

// received is the signals that the receiver makes.
var received = map[otlp.Signal]bool{otlp.Profiles: true}

// New makes a receiver. It opens nothing.
func New(cfg Config, set component.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	return &Receiver{cfg: cfg, set: set.OrDefaults(), life: lifecycle.New(fmt.Sprintf("receiver %q", set.ID))}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// Register names the consumer of profiles, once, before Start.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	if err := r.accepts(s, c); err != nil {
		return err
	}
	err := r.life.Configure(func() error {
		if r.next != nil {
			return errors.New("it has one already")
		}
		r.next = pipeline.NewSwitch(c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("receiver %q: register a consumer of %s: %w", r.set.ID, s, err)
	}
	return nil
}

// accepts returns an error if c cannot be the consumer of s.
func (r *Receiver) accepts(s otlp.Signal, c pipeline.Consumer) error {
	if !received[s] || c == nil {
		return fmt.Errorf("receiver %q: register %v for %s: expected a consumer of profiles", r.set.ID, c, s)
	}
	return nil
}

// Rewire implements component.Rewirer. There must be a consumer of profiles: without one
// the receiver has nothing to do.
func (r *Receiver) Rewire(next map[otlp.Signal]pipeline.Consumer) error {
	for s, c := range next {
		if err := r.accepts(s, c); err != nil {
			return err
		}
	}
	if len(next) == 0 || r.next == nil {
		return fmt.Errorf("receiver %q: replace its consumer: expected one of profiles, after Register", r.set.ID)
	}
	r.rewiring.Lock()
	defer r.rewiring.Unlock()
	r.replaced = append(r.replaced, r.next.Turn(next[otlp.Profiles]))
	return nil
}

// Settle implements component.Settler.
func (r *Receiver) Settle(ctx context.Context) error {
	r.rewiring.Lock()
	defer r.rewiring.Unlock()
	for len(r.replaced) > 0 {
		if err := r.replaced[0].Wait(ctx); err != nil {
			return fmt.Errorf("receiver %q: wait for requests with a consumer that was replaced: %w", r.set.ID, err)
		}
		r.replaced = r.replaced[1:]
	}
	return nil
}

// Retire implements component.Retirer: it finishes the rounds that are being made, until
// ctx ends. Shutdown, which is called after it, hands on what was fetched.
func (r *Receiver) Retire(ctx context.Context) error {
	now := r.running.Load()
	if now == nil {
		return nil
	}
	if err := now.engine.Finish(ctx); err != nil {
		return fmt.Errorf("receiver %q: retire: %w", r.set.ID, err)
	}
	return nil
}

// Start begins to fetch. A second call returns what the first did.
func (r *Receiver) Start(ctx context.Context) error {
	return r.life.Start(func(undo *lifecycle.Undo) error { return r.open(ctx, undo) })
}

func (r *Receiver) open(ctx context.Context, undo *lifecycle.Undo) error {
	if r.next == nil {
		return errors.New("its profiles have no consumer: expected a pipeline of profiles")
	}
	// Requests have a share of their own: a profile that waits for them to be passed on
	// keeps its own memory meanwhile.
	next := &held.Consumer{Next: r.next, Budget: r.set.Memory, Client: "receiver " + r.set.ID + " requests"}
	rep, err := reporter.NewOTLP(reporter.OTLPConfig{
		Consumer: next, Logger: r.set.Logger, Name: "penstock/pprofreceiver",
		MaxWindowBytes: maxWindowBytes, MaxPendingBytes: maxPendingBytes,
	})
	if err != nil {
		return err
	}
	engine, err := NewEngine(r.cfg, r.set, rep)
	if err != nil {
		return err
	}
	account := held.New(held.Config{Budget: r.set.Memory, Client: "receiver " + r.set.ID, Bytes: rep.MemoryBytes})
	engine.admit, engine.flush = admitTo(account), rep.Flush
	items, err := obsreport.NewHeldItems(r.set.ID, r.set.Meter, func(s otlp.Signal) obsreport.HeldStats {
		stats := rep.Stats()
		f := stats.Of(s)
		return obsreport.HeldStatsOf(f.Acknowledged, f.Held, f.Dropped)
	}, otlp.Profiles)
	if err != nil {
		return err
	}
	undo.Add(items.Close)
	if err := rep.Start(ctx); err != nil {
		return err
	}
	undo.Add(func() error { return rep.Shutdown(ctx) })
	if err := r.keepState(engine); err != nil {
		return err
	}
	undo.Add(func() error { return engine.SaveState(false) })
	if err := engine.Start(ctx); err != nil {
		return err
	}
	r.running.Store(&running{engine, rep, account, items})
	return nil
}

// keepState makes the engine keep its state in the storage, if there is one.
func (r *Receiver) keepState(e *Engine) error {
	if r.cfg.Storage == "" {
		return nil
	}
	found, _ := r.set.Extension(r.cfg.Storage)
	storage, ok := found.(component.Storage)
	if !ok {
		return fmt.Errorf("storage: the extension %q is not a storage", r.cfg.Storage)
	}
	return e.KeepState(filepath.Join(control.Receivers(storage.Directory()), control.FileName(r.set.ID)))
}

// admitTo charges what a reporter holds to an account: before it gets a profile, so
// that one that there is no room for is fetched again, and nothing of it is lost.
func admitTo(a *held.Account) func(*profile.Profile) (done func(), err error) {
	var one sync.Mutex
	return func(p *profile.Profile) (func(), error) {
		one.Lock()
		// The wait has the bound of the budget.
		if err := a.Reserve(context.Background(), min(reportedBytes(p), maxReportedBytes)); err != nil {
			one.Unlock()
			return nil, err
		}
		return func() {
			a.Settle()
			one.Unlock()
		}, nil
	}
}

// Shutdown aborts the fetches, and sends the fetched profiles until ctx ends. With a
// storage it keeps where the next process goes on.
func (r *Receiver) Shutdown(ctx context.Context) error {
	return r.life.Shutdown(func() error {
		now := r.running.Load()
		defer now.account.Close()
		stopped, handed := now.engine.Shutdown(ctx), now.reporter.Shutdown(ctx)
		return errors.Join(stopped, handed, now.engine.SaveState(handed == nil), now.held.Close())
	})
}

// Stats returns what was fetched since Start.
func (r *Receiver) Stats() Stats {
	if now := r.running.Load(); now != nil {
		return now.engine.Stats()
	}
	return Stats{}
}
