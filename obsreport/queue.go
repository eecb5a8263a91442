package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// QueueStats are the state of a queue of one exporter and signal.
type QueueStats struct {
	// Size and Capacity are in units of the queue's sizer; Capacity 0: there is none.
	Size, Capacity int64
	// Accepted, Delivered, Rejected, DeadLettered, Dropped, Damaged and Returned are
	// items, and never decrease; Held are the others. HeldBytes is what they lie in.
	Accepted, Delivered, Rejected, DeadLettered, Dropped, Damaged, Returned int64
	Held, HeldBytes                                                         int64
	// Durable says that the queue is on disk.
	Durable bool
}

// fates are the values of the attribute "state".
var fates = [...]string{"accepted", "delivered", "rejected", "dead_lettered", "dropped", "damaged", "returned"}

func (s *QueueStats) fates() [len(fates)]int64 {
	return [...]int64{s.Accepted, s.Delivered, s.Rejected, s.DeadLettered, s.Dropped, s.Damaged, s.Returned}
}

// Queue measures a queue. It is read at collection.
type Queue struct {
	registration metric.Registration
	failed       series
	items, bytes metric.Int64Histogram // nil: not measured
	of           metric.MeasurementOption
}

// NewQueue creates the instruments of the queue of an exporter for the batches of a
// pipeline, which are of signal s. read is called by any goroutine until Close has
// returned.
func NewQueue(exporter, pipeline string, s otlp.Signal, mp metric.MeterProvider, read func() QueueStats) (*Queue, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("the queue of exporter %q", exporter)}
	size, capacity, held, bytes, durable := m.upDown(queueSize), m.upDown(queueCapacity), m.upDown(queueHeld), m.upDown(queueHeldBytes), m.upDown(queueDurable)
	items := m.observed(queueItems, 0)
	q := &Queue{failed: newSeries(m.counter(enqueueFailed, s), attrExporter.key.String(exporter))}
	if err := m.err(); err != nil {
		return nil, err
	}
	tags := []attribute.KeyValue{attrExporter.key.String(exporter), attrDataType.key.String(signalName(s)), attrPipeline.key.String(pipeline)}
	of := metric.WithAttributeSet(attribute.NewSet(tags...))
	var states [len(fates)]metric.MeasurementOption
	for i, name := range fates {
		states[i] = metric.WithAttributeSet(attribute.NewSet(with(tags, attrFate.key.String(name))...))
	}
	var err error
	q.registration, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := read()
		o.ObserveInt64(size, stats.Size, of)
		if stats.Capacity > 0 {
			o.ObserveInt64(capacity, stats.Capacity, of)
		}
		o.ObserveInt64(held, stats.Held, of)
		o.ObserveInt64(bytes, stats.HeldBytes, of)
		o.ObserveInt64(durable, one(stats.Durable), of)
		for i, n := range stats.fates() {
			o.ObserveInt64(items, n, states[i])
		}
		return nil
	}, size, capacity, held, bytes, durable, items)
	m.check(instruments[queueSize].name, err)
	return q, m.err()
}

// MeasureSizes makes Added record sizes. It is called before all other methods.
func (q *Queue) MeasureSizes(exporter string, mp metric.MeterProvider) error {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("the queue of exporter %q", exporter)}
	q.items, q.bytes = m.histogram(enqueueSize, amountBounds), m.size(enqueueBytes)
	q.of = metric.WithAttributeSet(attribute.NewSet(attrExporter.key.String(exporter)))
	return m.err()
}

// Added records a request that was added to the queue.
func (q *Queue) Added(ctx context.Context, items, bytes int) {
	if q.items != nil {
		q.items.Record(ctx, int64(items), q.of)
		q.bytes.Record(ctx, int64(bytes), q.of)
	}
}

// Refused counts items that could not be added to the queue.
func (q *Queue) Refused(ctx context.Context, items int) { q.failed.add(ctx, int64(items)) }

// Close unregisters the callback that reads the stats.
func (q *Queue) Close() error { return q.registration.Unregister() }

func one(is bool) int64 {
	if is {
		return 1
	}
	return 0
}
