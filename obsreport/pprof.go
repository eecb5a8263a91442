package obsreport

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// PprofTarget is one target of a receiver of pprof profiles at one moment.
type PprofTarget struct {
	// Name is host:port with the path of its profiles.
	Name string
	// Up is whether its last fetch brought a profile.
	Up bool
	// Fetches are those that were made, by outcome: "success", or why not.
	Fetches map[string]int64
	// Bytes were fetched, as they came. Restarts of the process were noticed.
	Bytes, Restarts int64
}

// PprofTargets are the instruments of a receiver's targets. They are read at
// collection, but for the durations.
type PprofTargets struct {
	registration metric.Registration
	durations    metric.Float64Histogram
	id           attribute.KeyValue
}

// NewPprofTargets creates the instruments of the receiver with this id. read returns its
// targets. It is called by any goroutine until Close has returned.
func NewPprofTargets(id string, mp metric.MeterProvider, read func() []PprofTarget) (*PprofTargets, error) {
	m := &maker{meter: mp.Meter(scope), owner: fmt.Sprintf("receiver %q", id)}
	up, fetches := m.upDown(pprofUp), m.observed(pprofFetches, 0)
	bytes, restarts := m.observed(pprofBytes, 0), m.observed(pprofRestarts, 0)
	p := &PprofTargets{durations: m.seconds(pprofDuration), id: attrReceiver.key.String(id)}
	if err := m.err(); err != nil {
		return nil, err
	}
	var err error
	p.registration, err = m.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, t := range read() {
			target := attrTarget.key.String(t.Name)
			of := metric.WithAttributeSet(attribute.NewSet(p.id, target))
			o.ObserveInt64(up, map[bool]int64{true: 1}[t.Up], of)
			o.ObserveInt64(bytes, t.Bytes, of)
			o.ObserveInt64(restarts, t.Restarts, of)
			for outcome, n := range t.Fetches {
				o.ObserveInt64(fetches, n, metric.WithAttributeSet(attribute.NewSet(p.id, target, attrFetch.key.String(outcome))))
			}
		}
		return nil
	}, up, fetches, bytes, restarts)
	m.check(instruments[pprofUp].name, err)
	return p, m.err()
}

// Fetched records how long a fetch of a kind of profile took.
func (p *PprofTargets) Fetched(ctx context.Context, profile string, took time.Duration) {
	p.durations.Record(ctx, took.Seconds(), metric.WithAttributeSet(attribute.NewSet(p.id, attrProfile.key.String(profile))))
}

// Close unregisters the callback.
func (p *PprofTargets) Close() error { return p.registration.Unregister() }
