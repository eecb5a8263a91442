package obsreport

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ConnOpened says that a connection was accepted. ConnClosed must follow.
func (r *Receiver) ConnOpened() {
	r.refusals.begin(context.Background())
	r.connections.Add(1)
}

// ConnClosed says that an accepted connection is gone.
func (r *Receiver) ConnClosed() { r.connections.Add(-1) }

// ConnRefused counts a connection that was turned away at once, or cut off. One
// that was opened before is still to be closed by ConnClosed.
func (r *Receiver) ConnRefused(why ConnReason) {
	ctx := context.Background()
	r.refusals.begin(ctx)
	r.refusals.series[why.known()].add(ctx, 1)
}

// initConnections makes the instruments of connections, and the gauges: they are
// read when somebody asks, so that a request pays for an atomic only. Call it
// last.
func (r *Receiver) initConnections(m *maker) {
	refused := m.counter(connectionsRefused, 0)
	for _, name := range connReasonNames {
		r.refusals.series = append(r.refusals.series, newSeries(refused, with(r.tags, attrConn.key.String(name))...))
	}
	requests, connections := m.upDown(requestsActive), m.upDown(connectionsActive)
	if len(m.errs) > 0 {
		return // there will be no receiver that could take a callback off again
	}
	tags := metric.WithAttributeSet(attribute.NewSet(r.tags...))
	var err error
	r.gauges, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(requests, r.active.Load(), tags)
		o.ObserveInt64(connections, r.connections.Load(), tags)
		return nil
	}, requests, connections)
	m.check(instruments[requestsActive].name, err)
}
