package obsreport

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Books is what became of the items that a receiver holds for a while before it
// passes them on.
type Books struct {
	// Delivered went through the pipeline, Held did not yet.
	Delivered, Held int64
	// Dropped is by reason; there are few reasons.
	Dropped map[string]int64
}

// Keeper tells the books of a receiver that holds items. It is asked when
// somebody looks.
type Keeper struct{ registration metric.Registration }

// NewKeeper makes the instruments of the receiver called id, for some signals. read
// returns a signal's books; they only grow, but for Held. It is called by any
// goroutine until Close has returned.
func NewKeeper(id string, mp metric.MeterProvider, read func(otlp.Signal) Books, signals ...otlp.Signal) (*Keeper, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	type row struct {
		signal             otlp.Signal
		delivered, dropped metric.Int64ObservableCounter
		held               metric.Int64ObservableUpDownCounter
	}
	var rows []row
	var all []metric.Observable
	for _, s := range signals {
		r := row{s, m.asked(itemsDelivered, s), m.asked(itemsDropped, s), m.upDownOf(itemsHeld, s)}
		rows, all = append(rows, r), append(all, r.delivered, r.dropped, r.held)
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	tag := attrReceiver.key.String(id)
	of := metric.WithAttributeSet(attribute.NewSet(tag))
	k := &Keeper{}
	var err error
	k.registration, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, r := range rows {
			b := read(r.signal)
			o.ObserveInt64(r.delivered, b.Delivered, of)
			o.ObserveInt64(r.held, b.Held, of)
			for why, n := range b.Dropped {
				o.ObserveInt64(r.dropped, n, metric.WithAttributeSet(attribute.NewSet(tag, attrDropped.key.String(why))))
			}
		}
		return nil
	}, all...)
	m.check(instruments[itemsHeld].name, err)
	return k, m.err()
}

// Close takes the instruments' callback off.
func (k *Keeper) Close() error { return k.registration.Unregister() }
