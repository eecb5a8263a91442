package otlpreceiver

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// abortGrace is how long Shutdown waits past its deadline for the requests that
// it aborted to notice.
const abortGrace = time.Second

// Retire implements component.Retirer: another receiver has the listeners. It accepts no
// more, serves the connections that it has, and ends each without failing a request: with
// GOAWAY, and with "Connection: close" in the next response of HTTP/1. HTTP connections on
// which nothing comes are closed after 5 s. It returns when all are gone or ctx has
// ended. Shutdown is called after it.
func (r *Receiver) Retire(ctx context.Context) error {
	s := r.servers.Load()
	if s == nil {
		return nil
	}
	var all sync.WaitGroup
	grpc, http := true, true
	if s.grpc != nil {
		all.Go(func() { grpc = s.grpc.Retire(ctx) })
	}
	if s.http != nil {
		all.Go(func() { http = s.http.retire(ctx) })
	}
	all.Wait()
	if !grpc || !http {
		return fmt.Errorf("receiver %q: retire: %d connections are still open: %w", r.set.ID, s.connections(), context.Cause(ctx))
	}
	return nil
}

// connections returns how many are open.
func (s *servers) connections() (n int) {
	if s.grpc != nil {
		n += s.grpc.Listener().Open()
	}
	if s.http != nil {
		n += s.http.listener.Open()
	}
	return n
}

// Shutdown stops listening, lets the requests in progress finish, and returns
// when they have. When ctx ends first it breaks the rest off: their contexts are
// cancelled, their connections closed, and after that no consumer is called any
// more. A consumer that does not return even then is abandoned after abortGrace,
// and the error says so.
func (r *Receiver) Shutdown(ctx context.Context) error {
	return r.life.Shutdown(func() error {
		s := r.servers.Load()
		defer r.closeMeasurements(s)
		return r.shutdown(ctx, s)
	})
}

func (r *Receiver) shutdown(ctx context.Context, s *servers) error {
	var drains sync.WaitGroup
	var cutOff sync.Once
	cut := 0
	stop := func(drain func(context.Context) bool, abort func()) {
		drains.Go(func() {
			if !drain(ctx) {
				cutOff.Do(func() {
					cut = r.inFlight.Count()
					r.inFlight.Close()
				})
				abort()
			}
		})
	}
	if s.grpc != nil {
		stop(s.grpc.Drain, s.grpc.Abort)
	}
	if s.http != nil {
		stop(s.http.drain, s.http.abort)
	}
	drains.Wait()
	left := r.join(s)
	switch {
	case left > 0:
		return fmt.Errorf("%d requests are still in the pipeline %s after the deadline: %w", left, abortGrace, ctx.Err())
	case cut > 0:
		return fmt.Errorf("%d unfinished requests were aborted: %w", cut, ctx.Err())
	}
	return nil
}

// join waits for all goroutines, for abortGrace at most, and returns how many
// requests are left.
func (r *Receiver) join(s *servers) int {
	empty := r.inFlight.Close()
	late := time.NewTimer(abortGrace)
	defer late.Stop()
	select {
	case <-empty:
	case <-late.C:
		return r.inFlight.Count()
	}
	if s.grpc != nil {
		<-s.grpc.Drained()
	}
	if s.http != nil {
		s.http.cancel()
	}
	s.serving.Wait()
	return 0
}
