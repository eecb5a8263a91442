package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Trigger is why a processor sends what it has merged.
type Trigger uint8

// The triggers.
const (
	Idle Trigger = iota // nothing is being sent any more
	Full
	Timeout
)

// Batching measures a processor that merges requests.
type Batching struct {
	items, bytes metric.Int64Histogram
	of           metric.MeasurementOption
	full, late   series
	groups       metric.Registration
}

// NewBatching creates the instruments of the processor with this id. bytes reports whether
// sizes in bytes are recorded. groups returns how many combinations of metadata are being
// processed; it is called by any goroutine until Close has returned.
func NewBatching(id string, mp metric.MeterProvider, bytes bool, groups func() int) (*Batching, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("processor %q", id)}
	tag := attrProcessor.key.String(id)
	b := &Batching{items: m.histogram(batchSize, amountBounds), of: metric.WithAttributeSet(attribute.NewSet(tag)),
		full: newSeries(m.counter(batchFull, 0), tag), late: newSeries(m.counter(batchTimeouts, 0), tag)}
	if bytes {
		b.bytes = m.size(batchBytes)
	}
	combinations := m.upDown(batchMetadata)
	if err := m.err(); err != nil {
		return nil, err
	}
	var err error
	for _, s := range []*series{&b.full, &b.late} {
		s.begin(context.Background())
	}
	b.groups, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(combinations, int64(groups()), b.of)
		return nil
	}, combinations)
	m.check(instruments[batchMetadata].name, err)
	return b, m.err()
}

// Sent counts a request of items and bytes that is sent because of t.
func (b *Batching) Sent(ctx context.Context, t Trigger, items, bytes int) {
	b.items.Record(ctx, int64(items), b.of)
	if b.bytes != nil {
		b.bytes.Record(ctx, int64(bytes), b.of)
	}
	switch t {
	case Full:
		b.full.add(ctx, 1)
	case Timeout:
		b.late.add(ctx, 1)
	}
}

// Close unregisters the callback.
func (b *Batching) Close() error { return b.groups.Unregister() }
