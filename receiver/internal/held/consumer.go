package held

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/admission"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// Consumer passes on requests that are made in this process, each with a ticket of its
// own: what processors and exporters make of one is charged to it. There is no sender
// that could be refused. If there is no room for a request, it holds nothing, and waits
// in the queue that called.
type Consumer struct {
	Next   pipeline.Consumer
	Budget *admission.Budget // nil has no bound
	Client string            // in fair shares
}

// Capabilities implements pipeline.Consumer.
func (c *Consumer) Capabilities() pipeline.Capabilities { return c.Next.Capabilities() }

// Consume implements pipeline.Consumer. The batch that is passed on is another one with
// the same bytes: the caller may retry with b.
func (c *Consumer) Consume(ctx context.Context, b *pipeline.Batch) error {
	if c.Budget == nil {
		return c.Next.Consume(ctx, b)
	}
	t, err := c.Budget.Acquire(ctx, c.Client, cap(b.Bytes()))
	if err != nil {
		return noRoom(err)
	}
	paid := pipeline.NewUncheckedBatch(b.Signal(), b.Bytes(), b.Items(), b.Client())
	paid.MarkShared()
	paid.Hold(t)
	defer paid.Release()
	return c.Next.Consume(ctx, paid)
}

// noRoom translates why there is no ticket. A request that is larger than the budget
// is dropped: it never fits.
func noRoom(err error) error {
	e := &pipeline.Error{Kind: pipeline.Retryable, Err: fmt.Errorf("pass on a request: %w", err)}
	var o *admission.Overload
	switch {
	case !errors.As(err, &o): // ctx ended
	case o.TooLarge:
		e.Kind = pipeline.Permanent
	default:
		e.Kind, e.RetryAfter = pipeline.Overloaded, o.RetryAfter
	}
	return e
}
