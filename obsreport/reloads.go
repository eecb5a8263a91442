package obsreport

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

var reloadResults = [...]string{"success", "failure"}

// Reloads measures the reloads of a configuration.
type Reloads struct {
	successful metric.Int64Gauge
	at         metric.Float64Gauge
	done       metric.Int64Counter
	results    [len(reloadResults)]metric.MeasurementOption
}

// NewReloads creates the instruments.
func NewReloads(mp metric.MeterProvider) (*Reloads, error) {
	m := &maker{meter: mp.Meter(scope), owner: "the service"}
	r := &Reloads{done: m.counter(reloadsDone, 0)}
	var err error
	in := &instruments[reloadSuccessful]
	r.successful, err = m.meter.Int64Gauge(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	in = &instruments[reloadTime]
	r.at, err = m.meter.Float64Gauge(in.name, metric.WithUnit(in.unit), metric.WithDescription(in.text))
	m.check(in.name, err)
	for i, name := range reloadResults {
		r.results[i] = metric.WithAttributeSet(attribute.NewSet(attrReload.key.String(name)))
	}
	return r, m.err()
}

// Began measures the first configuration.
func (r *Reloads) Began(at time.Time) {
	for _, result := range r.results {
		r.done.Add(context.Background(), 0, result)
	}
	r.inEffect(at)
}

func (r *Reloads) inEffect(at time.Time) {
	r.successful.Record(context.Background(), 1)
	r.at.Record(context.Background(), float64(at.UnixNano())/1e9)
}

// Done measures a reload that ended at a time, with an error or without.
func (r *Reloads) Done(at time.Time, err error) {
	if err != nil {
		r.successful.Record(context.Background(), 0)
		r.done.Add(context.Background(), 1, r.results[1])
		return
	}
	r.inEffect(at)
	r.done.Add(context.Background(), 1, r.results[0])
}
