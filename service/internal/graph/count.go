package graph

import (
	"context"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// counted is a consumer that counts the items before or after it consumes them.
type counted struct {
	pipeline.Consumer
	observer pipeline.Observer
	in       bool
}

func (c counted) Consume(ctx context.Context, b *pipeline.Batch) error {
	if c.in {
		c.observer.Processed(ctx, b.Signal(), b.Items(), 0, 0)
	} else {
		c.observer.Processed(ctx, b.Signal(), 0, b.Items(), 0)
	}
	return c.Consumer.Consume(ctx, b)
}

// countIn counts the items that a consumer processor takes, countOut the items
// that it passes to next. Without an observer they return their argument.
func countIn(o pipeline.Observer, processor pipeline.Consumer) pipeline.Consumer {
	return count(o, processor, true)
}

func countOut(o pipeline.Observer, next pipeline.Consumer) pipeline.Consumer {
	return count(o, next, false)
}

func count(o pipeline.Observer, c pipeline.Consumer, in bool) pipeline.Consumer {
	if o == nil || c == nil {
		return c
	}
	return counted{c, o, in}
}
