package countconnector

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/lograte"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// New returns the connector for the signal of set.
func New(cfg Config, set component.Settings, out component.Outputs) (pipeline.Consumer, error) {
	c := &connector{outputs: out.Of(otlp.Metrics), logger: set.OrDefaults().Logger, now: time.Now}
	for i := range kinds {
		if kinds[i].signal != set.Signal {
			continue
		}
		metrics, err := kinds[i].compile(&cfg)
		if err != nil {
			return nil, err
		}
		c.sections = append(c.sections, section{&kinds[i], metrics})
	}
	return c, nil
}

// section is the metrics of a kind.
type section struct {
	*kind
	metrics []metric
}

// connector counts what is in batches of a signal.
type connector struct {
	sections []section
	outputs  component.Outputs
	logger   *slog.Logger
	partial  lograte.Limiter
	now      func() time.Time
	idle     sync.Pool // of *counter
}

// Capabilities: batches are only read.
func (c *connector) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Consume passes the counts of what is in b to all pipelines.
func (c *connector) Consume(ctx context.Context, b *pipeline.Batch) error {
	counts, err := c.count(ctx, b)
	if err != nil || counts == nil {
		return err
	}
	defer counts.Release()
	err = pipeline.Deliver(ctx, counts, c.outputs.To(counts)...)
	if refusal := pipeline.Classify(err); refusal != nil && refusal.Kind == pipeline.Partial {
		// The number of refused items is one of counts: the sender has sent others.
		if n, ok := c.partial.Allow(time.Minute); ok {
			c.logger.Warn("some counts were refused (logged at most once in a minute)", slog.Any("error", err), slog.Int64("requests", n))
		}
		return nil
	}
	return err
}

// count returns the counts as a request of metrics, nil if nothing was counted.
func (c *connector) count(ctx context.Context, b *pipeline.Batch) (out *pipeline.Batch, err error) {
	n, _ := c.idle.Get().(*counter)
	if n == nil {
		n = newCounter(c)
	}
	returned := false
	defer func() {
		n.end()
		if returned { // after a panic it is in any state
			c.idle.Put(n)
		}
	}()
	out, err = n.run(ctx, b)
	returned = true
	return out, err
}

// run counts what is in b.
func (n *counter) run(ctx context.Context, b *pipeline.Batch) (*pipeline.Batch, error) {
	if err := n.begin(ctx, b); err != nil {
		return nil, err
	}
	if _, err := n.pass.Run(ctx, b); err != nil {
		return nil, err
	}
	if err := n.finishResource(); err != nil {
		return nil, err
	}
	return n.batch(), nil
}
