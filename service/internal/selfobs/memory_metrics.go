package selfobs

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/penstock-telemetry/penstock/admission"
)

// MeasureAdmission registers metrics that observe the budget at every
// collection, until stop is called.
func MeasureAdmission(mp metric.MeterProvider, b *admission.Budget) (stop func() error, err error) {
	m := mp.Meter(processScope)
	var errs [5]error
	var used, peak, limit, waiting, refused metric.Int64Observable
	used, errs[0] = m.Int64ObservableGauge("otelcol_admission_bytes", metric.WithUnit("By"),
		metric.WithDescription("Bytes that requests in flight hold of the memory budget"))
	peak, errs[1] = m.Int64ObservableGauge("otelcol_admission_peak_bytes", metric.WithUnit("By"),
		metric.WithDescription("Most bytes that requests in flight have held since the start"))
	limit, errs[2] = m.Int64ObservableGauge("otelcol_admission_limit_bytes", metric.WithUnit("By"),
		metric.WithDescription("Bytes that requests in flight may hold: the memory budget"))
	waiting, errs[3] = m.Int64ObservableGauge("otelcol_admission_waiting_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that wait for bytes of the memory budget"))
	refused, errs[4] = m.Int64ObservableCounter("otelcol_admission_refused_requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests that the memory budget had no room for"))
	for _, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("measure the memory budget: %w", err)
		}
	}
	reason := func(name string) metric.MeasurementOption {
		return metric.WithAttributeSet(attribute.NewSet(attribute.String("reason", name)))
	}
	full, share, tooLarge, slow := reason("full"), reason("share"), reason("too_large"), reason("slow")
	registered, err := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := b.Stats()
		o.ObserveInt64(used, s.Used)
		o.ObserveInt64(peak, s.Peak)
		o.ObserveInt64(limit, s.Limit)
		o.ObserveInt64(waiting, int64(s.Waiting+s.Growing))
		o.ObserveInt64(refused, s.RefusedFull, full)
		o.ObserveInt64(refused, s.RefusedShare, share)
		o.ObserveInt64(refused, s.RefusedTooLarge, tooLarge)
		o.ObserveInt64(refused, s.RefusedSlow, slow)
		return nil
	}, used, peak, limit, waiting, refused)
	if err != nil {
		return nil, fmt.Errorf("measure the memory budget: %w", err)
	}
	return registered.Unregister, nil
}
