package ship

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlpclient"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// FromSender sends over OTLP. It leaves the sender open.
func FromSender(sender otlpclient.Sender) Send {
	return func(ctx context.Context, p *Payload) error {
		// There is no Done: it says when the bytes may be used for something
		// else, and a payload's never are. A transport that still reads them keeps
		// them from the garbage collector.
		a, err := sender.Send(ctx, otlpclient.Request{Signal: p.Signal, Bytes: p.Bytes})
		if err != nil {
			return err // pipeline.Classify understands it
		}
		if a.Rejected == 0 && a.Message == "" && a.Warning == nil {
			return nil
		}
		said := a.Warning
		if said == nil {
			said = fmt.Errorf("the destination says %q", a.Message)
		}
		return &pipeline.Error{Kind: pipeline.Partial, Rejected: a.Rejected, Err: said}
	}
}

// FromConsumer hands requests to a consumer in this process. The batch is marked
// shared, since the same bytes may be sent again; a consumer may keep it.
func FromConsumer(c pipeline.Consumer) Send {
	return func(ctx context.Context, p *Payload) error {
		b, err := pipeline.NewBatch(p.Signal, p.Bytes, nil)
		if err != nil {
			return pipeline.Permanently(fmt.Errorf("check a finished request of %s: %w", p.Signal, err))
		}
		defer b.Release()
		b.MarkShared()
		err = c.Consume(ctx, b)
		if e := pipeline.Classify(err); e != nil && e.Kind == pipeline.Partial {
			return &ofItems{error: err, items: int64(b.Items())}
		}
		return err
	}
}

// ofItems is a partial success whose Rejected counts the items of a batch, as
// pipelines do, and not the payload's units.
type ofItems struct {
	error
	items int64
}

func (e *ofItems) Unwrap() error { return e.error }

// unitsOf returns how many of what err rejects there were in p.
func unitsOf(p *Payload, err error) int64 {
	var e *ofItems
	if errors.As(err, &e) {
		return e.items
	}
	return p.Units
}
