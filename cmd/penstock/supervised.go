package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/internal/sdnotify"
	"github.com/penstock-telemetry/penstock/service"
)

// supervised is a service that tells systemd its state. Without systemd it is the service.
type supervised struct {
	*service.Service
	log      *slog.Logger
	notifier *sdnotify.Notifier // nil without systemd

	stopWatch context.CancelFunc // nil before Start
	watch     sync.WaitGroup
	started   chan struct{} // closed when Start has succeeded
	draining  chan struct{} // closed when Shutdown begins
	drain     sync.Once

	states   sync.Mutex // held while a state is sent: none follows that of Shutdown
	reloaded string     // the part of the status about the last reload
}

func newSupervised(svc *service.Service) *supervised {
	s := &supervised{Service: svc, log: svc.Logger(), started: make(chan struct{}), draining: make(chan struct{})}
	var err error
	if s.notifier, err = sdnotify.FromEnvironment(); err != nil {
		s.log.Warn("the service manager's environment is not valid", "error", err)
	}
	return s
}

// Start starts the service, and notifies systemd when all receivers listen.
func (s *supervised) Start(ctx context.Context) error {
	if err := s.Service.Start(ctx); err != nil {
		return err
	}
	s.notify(sdnotify.Ready, s.status())
	ctx, s.stopWatch = context.WithCancel(context.WithoutCancel(ctx))
	close(s.started)
	s.watch.Go(func() { s.notifier.Watch(ctx, s.alive, s.reportWatch) })
	return nil
}

// Shutdown notifies systemd and shuts the service down. Signs of life are sent until it
// returns, since systemd expects them while a service stops.
func (s *supervised) Shutdown(ctx context.Context) error {
	s.drain.Do(func() {
		s.states.Lock()
		defer s.states.Unlock()
		close(s.draining)
		s.notify(sdnotify.Stopping, "taking no more requests, finishing those in progress")
	})
	err := s.Service.Shutdown(ctx)
	if s.stopWatch == nil {
		return err
	}
	s.stopWatch()
	ended := make(chan struct{})
	go func() { s.watch.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done(): // the service is stuck, and alive with it
	}
	return err
}

// awaitStart waits until the service has started, and returns false if ctx ends first.
func (s *supervised) awaitStart(ctx context.Context) bool {
	select {
	case <-s.started:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *supervised) isDraining() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// beginReload notifies systemd, and returns false if the service does not run. systemd
// must have been notified of the start before.
func (s *supervised) beginReload() bool {
	select {
	case <-s.started:
	default:
		if s.Healthy() != nil {
			return false
		}
		select {
		case <-s.started:
		case <-s.draining:
		}
	}
	return s.notifyRunning(sdnotify.Reloading(), "reloading the configuration")
}

// endReload notifies systemd of the result.
func (s *supervised) endReload(err error) {
	text := "reloaded at " + time.Now().Format(time.DateTime)
	if err != nil {
		text = "reload at " + time.Now().Format(time.DateTime) + " failed and the previous configuration is in effect"
	}
	s.states.Lock()
	s.reloaded = text
	s.states.Unlock()
	s.notifyRunning(sdnotify.Ready, s.status())
}

// notifyRunning sends a state, and returns false if the service is shutting down.
func (s *supervised) notifyRunning(state, status string) bool {
	s.states.Lock()
	defer s.states.Unlock()
	if s.isDraining() {
		return false
	}
	s.notify(state, status)
	return true
}

// alive returns an error or blocks if the service is not alive. While it drains, the
// deadline of Shutdown applies instead.
func (s *supervised) alive() error {
	select {
	case <-s.draining:
		return nil
	default:
		return s.Healthy()
	}
}

func (s *supervised) notify(state, status string) {
	if err := s.notifier.Notify(state, status); err != nil {
		s.log.Warn("notifying the service manager failed", "error", err)
	}
}

func (s *supervised) reportWatch(err error) {
	if err != nil {
		s.log.Warn("no sign of life is sent to the service manager, which will restart the process", "error", err)
		return
	}
	s.log.Info("signs of life are sent to the service manager again")
}

// status is the line that systemctl status shows.
func (s *supervised) status() string {
	var at []string
	for _, a := range s.Addresses() {
		if a.Kind != "" {
			at = append(at, fmt.Sprintf("%s %s", a.Protocol, a.Address))
		}
	}
	text := []string{"ready"}
	s.states.Lock()
	if s.reloaded != "" {
		text = append(text, s.reloaded)
	}
	s.states.Unlock()
	return strings.Join(append(text, at...), ", ")
}
