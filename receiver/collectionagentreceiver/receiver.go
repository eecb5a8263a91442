// Package collectionagentreceiver is a collection agent: it takes what reporters
// see in raw form (collectionagent/v1, which reporter.GRPCReporter speaks), joins
// it, and passes it on as OTLP profiles and metrics.
//
//	gRPC :4319 ─► grpcserver ─► frontend: authenticate ─► admit ─► body ─► agent.report: check ─► session of the instance
//	                                                                                                 │ each number once
//	                                             Consumer of profiles ◄─┬─ route ◄─ OTLPReporter ◄───┘
//	                                             Consumer of metrics  ◄─┘           joins, groups, retries
//
// A reporter gets a success when its session has the data. From then on the session
// is responsible for the data: it keeps the data in memory within limits, passes it
// on at the report interval, and retries if the pipeline asks for that. While a
// session is full, its reporter gets a retryable error, and keeps its data.
//
// The one trap: a session is a reporter's instance, not its connection. It holds
// the stacks and symbols that the reporter will not send again, so it outlives
// connections, and dropping one early makes later samples nameless.
package collectionagentreceiver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lifecycle"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// Receiver is a collection agent. Its life is New, Register, Start, Shutdown.
type Receiver struct {
	cfg             Config
	set             component.Settings
	life            *lifecycle.Cycle
	consumers       frontend.Consumers
	pace            frontend.Pace
	maxRequestBytes int

	agent  atomic.Pointer[agent] // nil until started
	broken atomic.Pointer[error] // why it stopped listening by itself
}

// New makes a receiver. It opens nothing.
func New(cfg Config, set component.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	return &Receiver{
		cfg: cfg, set: set.OrDefaults(), life: lifecycle.New(fmt.Sprintf("receiver %q", set.ID)),
		pace: frontend.DefaultPace(), maxRequestBytes: cfg.MaxRecvMsgSizeMiB << 20,
	}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// makes are the signals that a collection agent makes.
func makes() map[otlp.Signal]bool {
	return map[otlp.Signal]bool{otlp.Profiles: true, otlp.Metrics: true}
}

// Register names the consumer of a signal, once for each, before Start.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	if err := r.accepts(s, c); err != nil {
		return err
	}
	err := r.life.Configure(func() error {
		if !r.consumers.Set(s, c) {
			return errors.New("it has one already")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("receiver %q: register a consumer of %s: %w", r.set.ID, s, err)
	}
	return nil
}

// accepts returns an error if c cannot be the consumer of s.
func (r *Receiver) accepts(s otlp.Signal, c pipeline.Consumer) error {
	switch {
	case !makes()[s]:
		return fmt.Errorf("receiver %q: a collection agent makes profiles and metrics: it cannot be in a pipeline of %s", r.set.ID, s)
	case c == nil:
		return fmt.Errorf("receiver %q: register a consumer of %s: it is nil", r.set.ID, s)
	}
	return nil
}

// Rewire implements component.Rewirer. What sessions hold belongs to their consumers: each
// passes it on to these and ends, and its reporter gets a new one.
func (r *Receiver) Rewire(next map[otlp.Signal]pipeline.Consumer) error {
	for s, c := range next {
		if err := r.accepts(s, c); err != nil {
			return err
		}
	}
	if changed := r.consumers.Replace(next); changed {
		if a := r.agent.Load(); a != nil {
			a.sessions.renew()
		}
	}
	return nil
}

// Settle implements component.Settler.
func (r *Receiver) Settle(ctx context.Context) error {
	err := r.consumers.Settle(ctx)
	if a := r.agent.Load(); a != nil && err == nil {
		err = a.sessions.old.Wait(ctx)
	}
	if err != nil {
		return fmt.Errorf("receiver %q: wait for what was received before its consumers were replaced: %w", r.set.ID, err)
	}
	return nil
}

// Retire implements component.Retirer: another receiver has the listener. It sends
// reporters away with GOAWAY, and returns when they have gone or ctx has ended. Shutdown,
// which is called after it, passes on what the sessions hold. Reporters send what the
// other receiver does not know of them again.
func (r *Receiver) Retire(ctx context.Context) error {
	if a := r.agent.Load(); a != nil && !a.server.Retire(ctx) {
		return fmt.Errorf("receiver %q: retire: %d connections are still open: %w", r.set.ID, a.server.Listener().Open(), context.Cause(ctx))
	}
	return nil
}

// Start binds the listener and serves. A second call returns what the first did.
func (r *Receiver) Start(ctx context.Context) error {
	return r.life.Start(func(undo *lifecycle.Undo) error {
		a, err := r.open(ctx, undo)
		if err != nil {
			return err
		}
		r.agent.Store(a)
		a.sessions.start()
		a.serving.Go(func() {
			if err := a.server.Serve(); err != nil {
				r.broken.Store(&err)
				r.set.Logger.Error("the collection agent stopped listening", "error", err)
			}
		})
		r.set.Logger.Info("Starting the collection agent", "endpoint", a.server.Listener().Addr().String())
		return nil
	})
}

// Healthy says why the receiver no longer serves; nil if it does. A service asks for
// it to answer whether it is ready.
func (r *Receiver) Healthy() error {
	if err := r.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// Addr returns the address that the receiver is bound to, nil if it was not
// started.
func (r *Receiver) Addr() net.Addr {
	if a := r.agent.Load(); a != nil {
		return a.server.Listener().Addr()
	}
	return nil
}

// protocol is what is spoken at the endpoint.
const protocol = "collection agent/gRPC"

// Endpoints implements component.Server.
func (r *Receiver) Endpoints() []component.Endpoint {
	if a := r.Addr(); a != nil {
		return []component.Endpoint{{Protocol: protocol, Addr: a, Secure: r.cfg.TLS != nil}}
	}
	return nil
}

// maxDrain is how long requests in progress may take to finish: they are short, and
// the sessions need the rest of the time.
const maxDrain = 2 * time.Second

// Shutdown stops listening, lets the requests in progress finish, for half of the
// time that ctx gives and 2 s at most, and passes on what the sessions hold, until
// ctx ends. What is left then is dropped and counted, and the error says so.
func (r *Receiver) Shutdown(ctx context.Context) error {
	return r.life.Shutdown(func() error {
		a := r.agent.Load()
		a.drain(ctx)
		err := a.sessions.shutdown(ctx)
		a.rejections.Close()
		return errors.Join(err, a.held.Close(), a.stackless.Close(), a.obs.Close())
	})
}
