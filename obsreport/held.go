package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// HeldStats counts the items of one signal in a receiver that holds them for some
// time before it passes them on.
type HeldStats struct {
	// Delivered items were accepted by the pipeline, Held items are not
	// delivered yet.
	Delivered, Held int64
	// Dropped counts the dropped items by reason. The number of reasons must be
	// small.
	Dropped map[string]int64
}

// HeldStatsOf converts stats whose reasons have another type than string.
func HeldStatsOf[R ~string](delivered, held int64, dropped map[R]int64) HeldStats {
	s := HeldStats{Delivered: delivered, Held: held, Dropped: make(map[string]int64, len(dropped))}
	for reason, n := range dropped {
		s.Dropped[string(reason)] = n
	}
	return s
}

// HeldItems are the instruments of a receiver that holds items. They are read at
// collection.
type HeldItems struct{ registration metric.Registration }

// NewHeldItems creates the instruments of the receiver with this id, for some
// signals. read returns the stats of a signal; all except Held must never
// decrease. It is called by any goroutine until Close has returned.
func NewHeldItems(id string, mp metric.MeterProvider, read func(otlp.Signal) HeldStats, signals ...otlp.Signal) (*HeldItems, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	type row struct {
		signal             otlp.Signal
		delivered, dropped metric.Int64ObservableCounter
		held               metric.Int64ObservableUpDownCounter
	}
	var rows []row
	var all []metric.Observable
	for _, s := range signals {
		r := row{s, m.observed(itemsDelivered, s), m.observed(itemsDropped, s), m.upDownOf(itemsHeld, s)}
		rows, all = append(rows, r), append(all, r.delivered, r.dropped, r.held)
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	tag := attrReceiver.key.String(id)
	of := metric.WithAttributeSet(attribute.NewSet(tag))
	h := &HeldItems{}
	var err error
	h.registration, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, r := range rows {
			stats := read(r.signal)
			o.ObserveInt64(r.delivered, stats.Delivered, of)
			o.ObserveInt64(r.held, stats.Held, of)
			for reason, n := range stats.Dropped {
				o.ObserveInt64(r.dropped, n, metric.WithAttributeSet(attribute.NewSet(tag, attrDropped.key.String(reason))))
			}
		}
		return nil
	}, all...)
	m.check(instruments[itemsHeld].name, err)
	return h, m.err()
}

// Close unregisters the callback that reads the stats.
func (h *HeldItems) Close() error { return h.registration.Unregister() }
