package funcs

import (
	"fmt"
	"iter"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

// ofMetric are the contexts of functions on metrics, ofPoint those of functions on data
// points.
var (
	ofMetric = []string{"metric"}
	ofPoint  = []string{"datapoint"}
)

// dataFields are the fields of Metric of which one has its data.
var dataFields = fields(otlpfield.MetricGauge, otlpfield.MetricSum, otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram, otlpfield.MetricSummary)

// fields returns a set of field numbers below 32.
func fields(nums ...uint32) (set uint32) {
	for _, n := range nums {
		set |= 1 << n
	}
	return set
}

// encoder returns an encoder with memory for n bytes. ok is false if there is none; the
// pass has the error then.
func encoder(e *ottl.Env, n int) (enc wire.Encoder, ok bool) {
	enc.Buf = e.Scratch(max(n, 1))
	return enc, enc.Buf != nil
}

// appendExcept appends the fields of message m except those in a set.
func appendExcept(enc *wire.Encoder, m []byte, except uint32) {
	copied := 0
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num < 32 && except>>c.Num&1 != 0 {
			enc.Raw(m[copied:c.Start])
			copied = c.End
		}
	}
	enc.Raw(m[copied:])
}

// dataOf returns the data of a metric: a Gauge, Sum, ….
func dataOf(metric []byte) []byte { return otlp.Metric(metric).Data().Bytes }

// typeName returns the name of the type of a metric's data.
func typeName(data uint32) string {
	switch data {
	case otlpfield.MetricGauge:
		return "gauge"
	case otlpfield.MetricSum:
		return "sum"
	case otlpfield.MetricHistogram:
		return "histogram"
	case otlpfield.MetricExponentialHistogram:
		return "exponential histogram"
	case otlpfield.MetricSummary:
		return "summary"
	}
	return "metric without data"
}

// points iterates over the data points in the data of a metric.
func points(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := (wire.Cursor{Buf: data}); c.Next(); {
			if c.Num == otlpfield.GaugeDataPoints && c.Type == wire.TypeBytes && !yield(c.Bytes) {
				return
			}
		}
	}
}

// countPoints returns how many data points are in the data of a metric.
func countPoints(data []byte) (n int) {
	for range points(data) {
		n++
	}
	return n
}

// convertData replaces the data of a metric, a gauge or sum, by those of the other type with
// the same points: kind is that of the sum, nil for a gauge.
func convertData(e *ottl.Env, now uint32, kind *sumKind) error {
	metric := e.Item()
	enc, ok := encoder(e, len(metric)+32)
	if !ok {
		return nil
	}
	data := dataOf(metric)
	appendExcept(&enc, metric, dataFields)
	mark := enc.Open(now)
	appendExcept(&enc, data, sumFields)
	if kind != nil {
		kind.append(&enc)
	}
	enc.Close(mark)
	e.SetItem(enc.Buf)
	return nil
}

// sumFields are the fields of Sum that a Gauge does not have.
var sumFields = fields(otlpfield.SumAggregationTemporality, otlpfield.SumIsMonotonic)

var convertSumToGauge = ottl.Function{Name: "convert_sum_to_gauge", In: ofMetric, Edit: func(*ottl.Args) (func(*ottl.Env) error, error) {
	return func(e *ottl.Env) error {
		if e.MetricData() != otlpfield.MetricSum {
			return nil
		}
		return convertData(e, otlpfield.MetricGauge, nil)
	}, nil
}}

var convertGaugeToSum = ottl.Function{Name: "convert_gauge_to_sum", In: ofMetric, Params: ottl.P("string_agg_temp", "monotonic"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	kind, err := sumKindOf(a, 0)
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) error {
		if e.MetricData() != otlpfield.MetricGauge {
			return nil
		}
		return convertData(e, otlpfield.MetricSum, &kind)
	}, nil
}}

// sumKind is what a Sum has beside its points.
type sumKind struct {
	temporality uint64
	monotonic   bool
}

// sumKindOf reads the arguments i, a temporality, and i+1, whether the sum is monotonic.
func sumKindOf(a *ottl.Args, i int) (k sumKind, err error) {
	name, err := a.LiteralString(i, "")
	if err != nil {
		return k, err
	}
	switch name {
	case "delta":
		k.temporality = uint64(otlp.AggregationTemporalityDelta)
	case "cumulative":
		k.temporality = uint64(otlp.AggregationTemporalityCumulative)
	default:
		return k, a.Errorf(i, "expected delta or cumulative, found %q", name)
	}
	k.monotonic, err = a.LiteralBool(i+1, false)
	return k, err
}

// append appends the fields.
func (k sumKind) append(enc *wire.Encoder) {
	enc.Varint(otlpfield.SumAggregationTemporality, k.temporality)
	if k.monotonic {
		enc.Varint(otlpfield.SumIsMonotonic, 1)
	}
}

var copyMetric = ottl.Function{Name: "copy_metric", In: ofMetric, Adds: true, Params: ottl.P("name?", "description?", "unit?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	var texts [3]ottl.Getter // of the fields 1, 2 and 3
	for i := range texts {
		if !a.Has(i) {
			continue
		}
		var err error
		if texts[i], err = a.String(i); err != nil {
			return nil, err
		}
	}
	return func(e *ottl.Env) error {
		metric := e.Item()
		var values [3][]byte
		var drop uint32
		room := len(metric) + 32
		for i, get := range texts {
			if get == nil {
				continue
			}
			v, err := get(e)
			if err != nil {
				return err
			}
			values[i] = v.Bytes()
			drop |= fields(otlpfield.MetricName + uint32(i))
			room += len(v.Bytes())
		}
		enc, ok := encoder(e, room)
		if !ok {
			return nil
		}
		for i, v := range values {
			if len(v) > 0 {
				enc.Bytes(otlpfield.MetricName+uint32(i), v)
			}
		}
		appendExcept(&enc, metric, drop)
		return added(e, enc.Buf)
	}, nil
}}

// added adds a metric.
func added(e *ottl.Env, metric []byte) error {
	if err := e.AddItem(metric); err != nil {
		return fmt.Errorf("add a metric, which the statement is done to as well: %w", err)
	}
	return nil
}

// appendDetails appends the name, with a suffix, the description and the unit of a metric.
func appendDetails(enc *wire.Encoder, metric otlp.Metric, suffix, unit string) {
	f := metric.Decode()
	mark := enc.Open(otlpfield.MetricName)
	enc.Raw(f.Name)
	enc.Buf = append(enc.Buf, suffix...)
	enc.Close(mark)
	if len(f.Description) > 0 {
		enc.Bytes(otlpfield.MetricDescription, f.Description)
	}
	if unit != "" {
		enc.String(otlpfield.MetricUnit, unit)
	} else if len(f.Unit) > 0 {
		enc.Bytes(otlpfield.MetricUnit, f.Unit)
	}
}
