package service

import (
	"context"
	"log/slog"
	"time"

	"github.com/penstock-telemetry/penstock/service/internal/graph"
)

// hurryWithin is how long the end of what a reload has replaced may take when the next
// reload begins, or the service is shut down.
const hurryWithin = 5 * time.Second

// retirement is the end, in the background, of what the last reload has replaced. Its
// methods are called by one goroutine at a time.
type retirement struct {
	ended chan struct{} // nil: there is none
	hurry context.CancelFunc
}

// begin shuts down what is left of the graph before.
func (r *retirement) begin(within time.Duration, t *graph.Transition, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	ended := make(chan struct{})
	r.ended, r.hurry = ended, cancel
	go func() {
		defer close(ended)
		defer cancel()
		if err := t.Retire(ctx); err != nil {
			log.Error("what the last reload has replaced was shut down with errors", slog.Any("error", err))
		}
	}()
}

// wait waits for the end, at most for a time, and then makes it hurry. If ctx ends first it
// returns why, and the end takes its time.
func (r *retirement) wait(ctx context.Context, within time.Duration) error {
	if r.ended == nil {
		return nil
	}
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-r.ended:
	case <-late.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	r.cutOff()
	return nil
}

// cutOff makes it hurry.
func (r *retirement) cutOff() {
	if r.ended == nil {
		return
	}
	r.hurry()
	<-r.ended
	r.ended = nil
}
