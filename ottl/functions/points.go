package functions

import (
	"errors"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

// pointsOf has, for each kind of metric, the numbers of its data points, and of their
// attributes.
var pointsOf = map[uint32]struct{ points, attributes uint32 }{
	otlpfield.MetricGauge:                {otlpfield.GaugeDataPoints, otlpfield.NumberDataPointAttributes},
	otlpfield.MetricSum:                  {otlpfield.SumDataPoints, otlpfield.NumberDataPointAttributes},
	otlpfield.MetricHistogram:            {otlpfield.HistogramDataPoints, otlpfield.HistogramDataPointAttributes},
	otlpfield.MetricExponentialHistogram: {otlpfield.ExponentialHistogramDataPoints, otlpfield.ExponentialHistogramDataPointAttributes},
	otlpfield.MetricSummary:              {otlpfield.SummaryDataPoints, otlpfield.SummaryDataPointAttributes},
}

var hasAttrKeyOnDatapoint = pointTest("HasAttrKeyOnDatapoint", ottl.P("key"))

var hasAttrOnDatapoint = pointTest("HasAttrOnDatapoint", ottl.P("key", "expected_val"))

// pointTest returns a converter that tests whether a data point of the metric has an
// attribute, and, with a second parameter, whether this is its text.
func pointTest(name string, params []ottl.Param) ottl.Function {
	return ottl.Function{Name: name, Params: params, In: []string{"metric"}, Test: func(a *ottl.Args) (func(*env) (bool, error), error) {
		texts := make([]string, len(params))
		for i := range params {
			var err error
			if texts[i], err = a.LiteralString(i, ""); err != nil {
				return nil, err
			}
		}
		return func(e *env) (bool, error) { return firstPoint(e.Item(), texts[0], texts[1:]) }, nil
	}}
}

// firstPoint reports whether a data point of a metric has an attribute, with the text if
// there is one. As in the Collector, the first data point that has the attribute decides.
// The text of a value that is not a string is empty.
func firstPoint(metric []byte, key string, text []string) (bool, error) {
	data := otlp.Metric(metric).Data()
	kind, ok := pointsOf[data.Num]
	if !ok {
		return false, errors.New("the metric has no kind")
	}
	for p := (wire.Cursor{Buf: data.Bytes}); p.Next(); {
		if p.Num != kind.points || p.Type != wire.TypeBytes {
			continue
		}
		for kv := (wire.Cursor{Buf: p.Bytes}); kv.Next(); {
			if kv.Num != kind.attributes || kv.Type != wire.TypeBytes {
				continue
			}
			if f := otlp.KeyValue(kv.Bytes).Decode(); string(f.Key) == key {
				v, _ := otlp.AnyValue(f.Value).StringValue()
				return len(text) == 0 || string(v) == text[0], nil
			}
		}
	}
	return false, nil
}
