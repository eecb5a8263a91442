package graph

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/service/internal/load"
)

// abandonAfter is how long a component may overrun the deadline of Shutdown before
// it is abandoned. At the deadline components abort what is left; the receiver
// takes up to a second for that.
const abandonAfter = 2 * time.Second

// Start starts the parts, extensions first and receivers last. If one fails to
// start, those that were started stay started until Shutdown.
func (g *Graph) Start(ctx context.Context) error {
	ctx = config.WithListeners(ctx, g.listeners)
	for _, p := range g.parts {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("start %s: %w", p.name, context.Cause(ctx))
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
		g.started = append(g.started, p)
	}
	return nil
}

// Shutdown stops what was started, receivers first. A part that runs abandonAfter
// beyond the end of ctx is abandoned, and the error names it.
func (g *Graph) Shutdown(ctx context.Context) error {
	var errs []error
	for _, p := range slices.Backward(g.started) {
		errs = append(errs, Within(ctx, "shut down "+p.name, p.Shutdown))
	}
	g.started = nil
	return errors.Join(errs...)
}

// Within runs stop, which has to return when ctx ends. If stop does not, Within
// abandons it after abandonAfter, so that the other parts can be stopped too.
func Within(ctx context.Context, doing string, stop func(context.Context) error) error {
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
		return fmt.Errorf("%s: still running %s after the shutdown deadline; abandoned: %w", doing, abandonAfter, ctx.Err())
	}
}

// Queues returns the state of the queues.
func (g *Graph) Queues() (all []component.QueueStatus) {
	g.mu.Lock()
	queues := slices.Clone(g.queues)
	g.mu.Unlock()
	for _, q := range queues {
		all = append(all, q.status()...)
	}
	return all
}

// Healthy returns an error if a receiver no longer serves its listeners, and
// nil if all do. Receivers whose listeners may fail have a method Healthy.
func (g *Graph) Healthy() error {
	g.mu.Lock()
	receivers := slices.Clone(g.Receivers)
	g.mu.Unlock()
	for _, r := range receivers {
		if h, ok := r.Instance.(interface{ Healthy() error }); ok {
			if err := h.Healthy(); err != nil {
				return fmt.Errorf("receiver %q: %w", r.Config.ID, err)
			}
		}
	}
	return nil
}

// An Endpoint is an address at which a component listens. Signals are those that a
// receiver accepts.
type Endpoint struct {
	Component *load.Component
	Signals   []otlp.Signal
	component.Endpoint
}

// Endpoints returns where the components listen, receivers first.
func (g *Graph) Endpoints() []Endpoint {
	var all []Endpoint
	add := func(c *load.Component, instance any, signals []otlp.Signal) {
		if s, ok := instance.(component.Server); ok {
			for _, at := range s.Endpoints() {
				all = append(all, Endpoint{c, signals, at})
			}
		}
	}
	g.mu.Lock()
	receivers, parts := slices.Clone(g.Receivers), slices.Clone(g.parts)
	g.mu.Unlock()
	for _, r := range receivers {
		add(r.Config, r.Instance, r.Signals)
	}
	for _, p := range parts {
		switch of := p.Component.(type) {
		case component.Receiver: // done
		case extensionPart:
			add(p.of, of.Component, nil)
		default:
			add(p.of, of, nil)
		}
	}
	return all
}
