package attrs

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// member is a field of a metric, with the fields of its data points and their attributes.
type member struct{ field, points, attributes uint32 }

var members = []member{
	{otlpfield.MetricGauge, otlpfield.GaugeDataPoints, otlpfield.NumberDataPointAttributes},
	{otlpfield.MetricSum, otlpfield.SumDataPoints, otlpfield.NumberDataPointAttributes},
	{otlpfield.MetricHistogram, otlpfield.HistogramDataPoints, otlpfield.HistogramDataPointAttributes},
	{otlpfield.MetricExponentialHistogram, otlpfield.ExponentialHistogramDataPoints, otlpfield.ExponentialHistogramDataPointAttributes},
	{otlpfield.MetricSummary, otlpfield.SummaryDataPoints, otlpfield.SummaryDataPointAttributes},
}

// memberOf returns the member that a metric has: of several, the last one counts.
func memberOf(metric []byte) (found member, ok bool) {
	for c := (wire.Cursor{Buf: metric}); c.Next(); {
		if c.Type != wire.TypeBytes || ok && c.Num == found.field {
			continue
		}
		for _, m := range members {
			if m.field == c.Num {
				found, ok = m, true
			}
		}
	}
	return found, ok
}

// EditPoints appends a metric to w in which edit has changed the data points. edit gets each
// of them, and the field of its attributes; it appends what replaces the data point to w, or
// reports that nothing changes. If nothing changes in any of them, nothing is appended.
func EditPoints(metric []byte, w *otlpedit.Writer, edit func(point []byte, num uint32) (changed bool, err error)) (changed bool, err error) {
	m, ok := memberOf(metric)
	if !ok {
		return false, nil
	}
	changed = w.Each(metric, m.field, func(data []byte) otlpedit.Verdict {
		return Verdict(err == nil && w.Each(data, m.points, func(point []byte) otlpedit.Verdict {
			if err != nil {
				return otlpedit.Keep
			}
			var edited bool
			edited, err = edit(point, m.attributes)
			return Verdict(edited && err == nil)
		}))
	})
	return changed && err == nil, err
}

// Verdict is Replace for a message that has changed, and Keep for others.
func Verdict(changed bool) otlpedit.Verdict {
	if changed {
		return otlpedit.Replace
	}
	return otlpedit.Keep
}
