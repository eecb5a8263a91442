package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// WithoutStack is the counter of samples that a receiver has sent without a stack. It is
// read at collection.
type WithoutStack struct{ registration metric.Registration }

// NewWithoutStack creates the counter of the receiver with this id. read returns what
// never decreases. It is called by any goroutine until Close has returned.
func NewWithoutStack(id string, mp metric.MeterProvider, read func() int64) (*WithoutStack, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	counter := m.observed(samplesWithoutStack, 0)
	if err := m.err(); err != nil {
		return nil, err
	}
	of := metric.WithAttributeSet(attribute.NewSet(attrReceiver.key.String(id)))
	registration, err := m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(counter, read(), of)
		return nil
	}, counter)
	m.check(instruments[samplesWithoutStack].name, err)
	return &WithoutStack{registration}, m.err()
}

// Close unregisters the callback.
func (w *WithoutStack) Close() error { return w.registration.Unregister() }
