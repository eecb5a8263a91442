package collectionagentreceiver

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// route is where the sessions' requests go: to the consumer of their signal. What
// becomes of the items is counted here.
type route struct {
	next map[otlp.Signal]pipeline.Consumer
	obs  *obsreport.Receiver
}

// newRoute returns a route to the consumers that there are now.
func newRoute(c *frontend.Consumers, obs *obsreport.Receiver) *route {
	r := &route{next: map[otlp.Signal]pipeline.Consumer{}, obs: obs}
	for s := range makes() {
		if next := c.Get(s); next != nil {
			r.next[s] = next
		}
	}
	return r
}

// Capabilities implements pipeline.Consumer.
func (r *route) Capabilities() pipeline.Capabilities { return pipeline.Capabilities{} }

// Consume implements pipeline.Consumer.
func (r *route) Consume(ctx context.Context, b *pipeline.Batch) error {
	next := r.next[b.Signal()]
	if next == nil {
		return pipeline.Permanently(fmt.Errorf("no pipeline of %s takes what this collection agent receives", b.Signal()))
	}
	ctx, op := r.obs.Start(ctx, b.Signal())
	err := next.Consume(ctx, b)
	refused := 0
	if err != nil {
		refused = b.Items()
		if e := pipeline.Classify(err); e.Kind == pipeline.Partial {
			refused = int(min(max(e.Rejected, 0), int64(b.Items())))
		}
	}
	op.End("protobuf", obsreport.Outcome{Accepted: b.Items() - refused, Refused: refused}, err)
	return err
}
