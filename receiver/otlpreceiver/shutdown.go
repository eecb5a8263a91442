package otlpreceiver

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Shutdown stops listening, lets the requests in progress finish, and returns
// when they have. When ctx ends first it breaks the rest off: their contexts are
// cancelled, their connections closed, and after that no consumer is called any
// more. A consumer that does not return even then is left behind after
// abortGrace, and the error says so.
func (r *Receiver) Shutdown(ctx context.Context) error {
	r.stop.Do(func() {
		r.mu.Lock()
		r.phase = stopped
		g, h := r.grpc, r.http
		r.mu.Unlock()
		defer r.forget()
		if err := r.shutdown(ctx, g, h); err != nil {
			r.stopErr = fmt.Errorf("shut down receiver %q: %w", r.set.ID, err)
		}
	})
	return r.stopErr
}

func (r *Receiver) shutdown(ctx context.Context, g *grpcServer, h *httpServer) error {
	var drains sync.WaitGroup
	var cutOff sync.Once
	cut := 0
	stop := func(drain func(context.Context) bool, abort func()) {
		drains.Go(func() {
			if !drain(ctx) {
				cutOff.Do(func() {
					cut = r.gate.count()
					r.gate.close()
				})
				abort()
			}
		})
	}
	if g != nil {
		stop(g.drain, g.abort)
	}
	if h != nil {
		stop(h.drain, h.abort)
	}
	drains.Wait()
	left := r.join(g, h)
	switch {
	case left > 0:
		return fmt.Errorf("%d requests are still in the pipeline %s after the deadline: %w", left, abortGrace, ctx.Err())
	case cut > 0:
		return fmt.Errorf("%d unfinished requests were broken off: %w", cut, ctx.Err())
	}
	return nil
}

// join waits for all goroutines, for abortGrace at most, and returns how many
// requests are left.
func (r *Receiver) join(g *grpcServer, h *httpServer) int {
	empty := r.gate.close()
	late := time.NewTimer(abortGrace)
	defer late.Stop()
	select {
	case <-empty:
	case <-late.C:
		return r.gate.count()
	}
	if g != nil {
		<-g.drained
	}
	if h != nil {
		h.cancel()
	}
	r.serving.Wait()
	return 0
}
