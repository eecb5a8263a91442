package frontend_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// A request has the consumer that it began with to its end, also when the signal has no
// pipeline any more. Settle waits for it.
func TestReplaceConsumer(t *testing.T) {
	t.Parallel()
	for _, goes := range []bool{false, true} {
		r, next := newRig(t), &testkit.Sink{}
		consumers := &frontend.Consumers{}
		if !consumers.Set(otlp.Logs, &r.sink) || consumers.Set(otlp.Logs, next) {
			t.Error("expected the first consumer to be set, and not the second")
		}
		r.route = &frontend.Route{Signal: otlp.Logs, Consumers: consumers}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		r.Inspect = func(_ *frontend.Request, b *pipeline.Batch) (*pipeline.Batch, error) {
			to := map[otlp.Signal]pipeline.Consumer{otlp.Logs: next}
			if goes {
				to = nil
			}
			consumers.Replace(to)
			if err := consumers.Settle(ended); !errors.Is(err, context.Canceled) {
				t.Errorf("Settle while a request has the consumer: %v", err)
			}
			return b, nil
		}
		r.serve(t.Context())
		if r.sink.Calls() != 1 || next.Calls() != 0 || r.refused != nil {
			t.Errorf("the request that had begun: %d calls, %d of the next consumer, %+v", r.sink.Calls(), next.Calls(), r.refused)
		}
		if err := consumers.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		r.Inspect = nil
		r.serve(t.Context())
		switch {
		case r.sink.Calls() != 1:
			t.Error("the consumer is called after it was replaced")
		case goes && (r.refused == nil || r.refused.Code != codes.Unimplemented || r.refused.Reason != obsreport.ReasonNotFound):
			t.Errorf("without a pipeline: %+v", r.refused)
		case !goes && (next.Calls() != 1 || r.refused != nil):
			t.Errorf("%d calls of the next consumer, %+v", next.Calls(), r.refused)
		}
	}
}

// callsAfter is a consumer that counts the calls after its end.
type callsAfter struct {
	ended atomic.Bool
	late  *atomic.Int64
}

func (c *callsAfter) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

func (c *callsAfter) Consume(context.Context, *pipeline.Batch) error {
	if c.ended.Load() {
		c.late.Add(1)
	}
	return nil
}

// After Settle a consumer that was replaced is not called any more, whatever comes in.
func TestReplaceConsumerUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var late atomic.Int64
	make := func() *callsAfter { return &callsAfter{late: &late} }
	now := make()
	consumers := &frontend.Consumers{}
	consumers.Set(otlp.Logs, now)
	var all sync.WaitGroup
	var done atomic.Bool
	for range 4 {
		one := &rig{FrontEnd: r.FrontEnd, body: r.body, route: &frontend.Route{Signal: otlp.Logs, Consumers: consumers}}
		all.Go(func() {
			for !done.Load() {
				if one.serve(t.Context()); one.refused != nil {
					t.Errorf("refused: %+v", one.refused)
					return
				}
			}
		})
	}
	for range 200 {
		next := make()
		consumers.Replace(map[otlp.Signal]pipeline.Consumer{otlp.Logs: next})
		if err := consumers.Settle(t.Context()); err != nil {
			t.Error(err)
		}
		now.ended.Store(true)
		now = next
	}
	done.Store(true)
	all.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d calls of consumers that were replaced", n)
	}
}
