package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Connector measures what a connector passes to no pipeline.
type Connector struct {
	dropped [otlp.Profiles + 1]series // by signal
}

// NewConnector creates the instruments of the connector with this id in the configuration
// ("routing/2").
func NewConnector(id string, mp metric.MeterProvider) (*Connector, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("connector %q", id)}
	c := &Connector{}
	dropped := m.counter(connectorDropped, 0)
	for _, s := range otlp.Signals() {
		c.dropped[s] = newSeries(dropped, attrConnector.key.String(id), attrOtel.key.String(signalName(s)))
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// Dropped counts items of signal s that were passed to no pipeline.
func (c *Connector) Dropped(ctx context.Context, s otlp.Signal, items int) {
	c.dropped[s].add(ctx, int64(items))
}
