package obsreport

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// ConnOpened records an accepted connection. ConnClosed must follow.
func (r *Receiver) ConnOpened() {
	r.refusals.begin(context.Background())
	r.connections.Add(1)
}

// ConnClosed records that an accepted connection is closed.
func (r *Receiver) ConnClosed() { r.connections.Add(-1) }

// ConnRefused counts a connection that was refused, or closed by the receiver.
// If ConnOpened was called for it, ConnClosed must still follow.
func (r *Receiver) ConnRefused(why ConnReason) {
	ctx := context.Background()
	r.refusals.begin(ctx)
	r.refusals.series[why.known()].add(ctx, 1)
}

// initConnections creates the instruments of connections, and the gauges. Gauges
// are read at collection, so that a request costs only an atomic operation. Call
// it last.
func (r *Receiver) initConnections(m *maker) {
	refused := m.counter(connectionsRefused, 0)
	for _, name := range connReasonNames {
		r.refusals.series = append(r.refusals.series, newSeries(refused, with(r.tags, attrConn.key.String(name))...))
	}
	requests, connections := m.upDown(requestsActive), m.upDown(connectionsActive)
	if len(m.errs) > 0 {
		return // NewReceiver fails, and Close could not unregister the callback
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
