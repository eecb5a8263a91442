// Package collectionagentreceiver is a collection agent: it takes what reporters
// see in raw form (collectionagent/v1, which reporter.GRPCReporter speaks), joins
// it, and passes it on as OTLP profiles and metrics.
//
//	gRPC :4319 ─► conns ─► visit: authenticate ─► admit ─► body ─► check ─► session of the instance
//	                                                                           │ each number once
//	                       Consumer of profiles ◄─┬─ route ◄─ OTLPReporter ◄───┘
//	                       Consumer of metrics  ◄─┘           joins, groups, retries
//
// A reporter hears of success when its session has what it sent. From there on
// the session answers for it: it is kept in memory within bounds, passed on at the
// report interval, and sent again where the pipeline wants that. While a session
// has no room, its reporter is told to come back, and keeps its own.
//
// The one trap: a session is a reporter's instance, not its connection. It holds
// the stacks and symbols that the reporter will not send again, so it outlives
// connections, and whoever drops one early makes later samples nameless.
package collectionagentreceiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// Receiver is a collection agent. Its life is New, Register, Start, Shutdown.
type Receiver struct {
	cfg Config
	set component.Settings

	mu        sync.Mutex
	phase     phase
	startErr  error
	consumers map[otlp.Signal]pipeline.Consumer
	listener  *conns.Listener // nil until started, as what follows
	server    *grpc.Server
	obs       *obsreport.Receiver
	held      *obsreport.HeldItems
	door      *door
	serving   sync.WaitGroup

	stop    sync.Once
	stopErr error
}

type phase uint8

const (
	created phase = iota
	started
	stopped
)

// New makes a receiver. It opens nothing.
func New(cfg Config, set component.Settings) (*Receiver, error) {
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("receiver %q: %w", set.ID, err)
	}
	return &Receiver{cfg: cfg, set: set.OrDefaults(), consumers: map[otlp.Signal]pipeline.Consumer{}}, nil
}

// Name returns the receiver's id in the configuration.
func (r *Receiver) Name() string { return r.set.ID }

// makes are the signals that a collection agent makes.
func makes() map[otlp.Signal]bool {
	return map[otlp.Signal]bool{otlp.Profiles: true, otlp.Metrics: true}
}

// Register names the consumer of a signal, once for each, before Start.
func (r *Receiver) Register(s otlp.Signal, c pipeline.Consumer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !makes()[s]:
		return fmt.Errorf("receiver %q: a collection agent makes profiles and metrics: it cannot be in a pipeline of %s", r.set.ID, s)
	case c == nil:
		return fmt.Errorf("receiver %q: register a consumer of %s: it is nil", r.set.ID, s)
	case r.phase != created:
		return fmt.Errorf("receiver %q: register a consumer of %s: it was started already", r.set.ID, s)
	case r.consumers[s] != nil:
		return fmt.Errorf("receiver %q: register a consumer of %s: it has one already", r.set.ID, s)
	}
	r.consumers[s] = c
	return nil
}

// Start binds the listener and serves. A second call returns what the first did.
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
		return r.startErr
	}
	r.door.sessions.start()
	r.serving.Go(func() {
		if err := r.server.Serve(r.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			r.set.Logger.Error("the collection agent stopped listening", "receiver", r.set.ID, "error", err)
		}
	})
	r.set.Logger.Info("Starting the collection agent", "receiver", r.set.ID, "endpoint", r.listener.Addr().String())
	return nil
}

// open makes all that Start needs, or nothing.
func (r *Receiver) open(ctx context.Context) (err error) {
	auth, err := r.authenticator()
	if err != nil {
		return err
	}
	secure, err := r.secure()
	if err != nil {
		return err
	}
	if r.obs, err = obsreport.NewReceiver(r.set.ID, "grpc", r.set.Tracer, r.set.Meter); err != nil {
		return err
	}
	l, err := config.Listen(ctx, r.cfg.listenOptions())
	if err != nil {
		return errors.Join(err, r.obs.Close())
	}
	sessions := newSessions(r.cfg, r.set.Logger, &route{next: r.consumers, obs: r.obs}, r.consumers[otlp.Metrics] != nil)
	read := func(s otlp.Signal) obsreport.HeldStats {
		f := sessions.flow(s)
		return obsreport.HeldStatsOf(f.Acknowledged, f.Held, f.Dropped)
	}
	if r.held, err = obsreport.NewHeldItems(r.set.ID, r.set.Meter, read, otlp.Profiles, otlp.Metrics); err != nil {
		return errors.Join(err, l.Close(), r.obs.Close())
	}
	r.listener = conns.New(l, r.cfg.MaxConnections, r.obs, nil)
	r.door = &door{
		maxBytes: r.cfg.MaxRecvMsgSizeMiB << 20, auth: auth, budget: r.set.Memory, obs: r.obs,
		rejections: obsreport.NewRejections(r.set.Logger), log: r.set.Logger,
		profiles: r.consumers[otlp.Profiles] != nil, patience: bodyPatience,
		sessions: sessions,
	}
	r.server = newServer(r.cfg, secure, r.door)
	return nil
}

// authenticator finds who decides about requests; nil is nobody.
func (r *Receiver) authenticator() (pipeline.Authenticator, error) {
	a := r.cfg.Auth
	if a == nil {
		return nil, nil
	}
	found, ok := r.set.Extension(a.Authenticator)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: authenticator not found", a.Authenticator)
	}
	auth, ok := found.(pipeline.Authenticator)
	if !ok {
		return nil, fmt.Errorf("failed to resolve authenticator %q: requested authenticator is not a server authenticator", a.Authenticator)
	}
	return auth, nil
}

// secure returns the settings for TLS, nil if it is off.
func (r *Receiver) secure() (*tls.Config, error) {
	t := r.cfg.TLS
	if t == nil {
		return nil, nil
	}
	settings, err := t.LoadReporting(func(err error) {
		r.set.Logger.Warn("cannot reload the TLS files, going on with the old ones", slog.String("receiver", r.set.ID), slog.Any("error", err))
	})
	if err != nil {
		return nil, err
	}
	settings.NextProtos = []string{"h2"}
	return settings, nil
}

// Addr returns the address that the receiver is bound to, nil if it is not.
func (r *Receiver) Addr() net.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.listener == nil {
		return nil
	}
	return r.listener.Addr()
}

// drainAtMost is how long requests in progress may take to finish: they are
// short, and the sessions need the rest of the time.
const drainAtMost = 2 * time.Second

// Shutdown stops listening, lets the requests in progress finish, for half of the
// time that ctx gives and 2 s at most, and passes on what the sessions hold, until
// ctx ends. What is left then is dropped and counted, and the error says so.
func (r *Receiver) Shutdown(ctx context.Context) error {
	r.stop.Do(func() {
		r.mu.Lock()
		opened := r.phase == started && r.startErr == nil
		r.phase = stopped
		r.mu.Unlock()
		if !opened {
			return
		}
		r.drain(ctx)
		err := r.door.sessions.shutdown(ctx)
		r.door.rejections.Close()
		if err = errors.Join(err, r.held.Close(), r.obs.Close()); err != nil {
			r.stopErr = fmt.Errorf("shut down receiver %q: %w", r.set.ID, err)
		}
	})
	return r.stopErr
}

// drain ends the server. It waits for every handler.
func (r *Receiver) drain(ctx context.Context) {
	within := drainAtMost
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)/2)
	}
	graceful := make(chan struct{})
	go func() {
		defer close(graceful)
		r.server.GracefulStop()
	}()
	r.listener.CloseSilent()
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-graceful:
	case <-timer.C:
	case <-ctx.Done():
	}
	r.server.Stop()
	<-graceful
	r.serving.Wait()
}
