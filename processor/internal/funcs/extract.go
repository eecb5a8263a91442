package funcs

import (
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/processor/internal/aggregate"
)

// pointRoom is how many bytes a point of a new metric takes at most beside those of the
// point that it is made of.
const pointRoom = 48

// derived describes a metric that is made of another one, with a number for each of its
// data points.
type derived struct {
	suffix, unit string // unit "": that of the other
	data         uint32 // field of the new metric's data
	kind         sumKind
	// value appends the number of a point; false leaves it out.
	value func(enc *wire.Encoder, data uint32, point []byte) (bool, error)
}

// add adds the metric, unless it has no points and always is false.
func (d *derived) add(e *ottl.Env, always bool) error {
	metric, data := otlp.Metric(e.Item()), e.MetricData()
	from := dataOf(metric)
	enc, ok := encoder(e, len(metric)+len(d.suffix)+len(d.unit)+64+pointRoom*countPoints(from))
	if !ok {
		return nil
	}
	appendDetails(&enc, metric, d.suffix, d.unit)
	mark := enc.Open(d.data)
	if d.data == otlpfield.MetricSum {
		d.kind.append(&enc)
	}
	n := 0
	for p := range points(from) {
		before := len(enc.Buf)
		point := enc.Open(otlpfield.GaugeDataPoints)
		appendOrigin(&enc, data, p)
		ok, err := d.value(&enc, data, p)
		if err != nil {
			return err
		}
		if !ok {
			enc.Buf = enc.Buf[:before]
			continue
		}
		enc.Close(point)
		n++
	}
	enc.Close(mark)
	if n == 0 && !always {
		return nil
	}
	return added(e, enc.Buf)
}

// appendOrigin appends the attributes and times of a point as those of a NumberDataPoint.
func appendOrigin(enc *wire.Encoder, data uint32, point []byte) {
	attributes := aggregate.AttributesField(data)
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		switch {
		case c.Num == attributes && c.Type == wire.TypeBytes:
			enc.Bytes(otlpfield.NumberDataPointAttributes, c.Bytes)
		case (c.Num == otlpfield.NumberDataPointStartTimeUnixNano || c.Num == otlpfield.NumberDataPointTimeUnixNano) && c.Type == wire.TypeFixed64:
			enc.Raw(point[c.Start:c.End])
		}
	}
}

// countValue appends the count of a point of a histogram or summary.
func countValue(enc *wire.Encoder, _ uint32, point []byte) (bool, error) {
	enc.Fixed64(otlpfield.NumberDataPointAsInt, otlp.HistogramDataPoint(point).Count()) // all have it in one field
	return true, nil
}

// sumValue appends the sum of a point of a histogram that has one, or of a summary.
func sumValue(enc *wire.Encoder, data uint32, point []byte) (bool, error) {
	sum, ok := otlp.HistogramDataPoint(point).Sum() // all have it in one field
	enc.Double(otlpfield.NumberDataPointAsDouble, sum)
	return ok || data == otlpfield.MetricSummary, nil
}

var extractCountMetric = extract("extract_count_metric", "_count", "1", countValue)

var extractSumMetric = extract("extract_sum_metric", "_sum", "", sumValue)

// extract is a function that adds a sum of the temporality of a histogram or summary.
func extract(name, suffix, unit string, value func(*wire.Encoder, uint32, []byte) (bool, error)) ottl.Function {
	return ottl.Function{Name: name, In: ofMetric, Adds: true, Params: ottl.P("monotonic", "suffix?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
		monotonic, err := a.LiteralBool(0, false)
		if err != nil {
			return nil, err
		}
		suffix, err := a.LiteralString(1, suffix)
		if err != nil {
			return nil, err
		}
		return func(e *ottl.Env) error {
			temporality, err := temporalityOf(e)
			if err != nil {
				return err
			}
			d := derived{suffix: suffix, unit: unit, data: otlpfield.MetricSum, value: value,
				kind: sumKind{temporality: uint64(temporality), monotonic: monotonic}}
			return d.add(e, false)
		}, nil
	}}
}

// temporalityOf returns the temporality of a histogram or summary.
func temporalityOf(e *ottl.Env) (otlp.AggregationTemporality, error) {
	data := e.MetricData()
	switch data {
	case otlpfield.MetricSummary:
		return otlp.AggregationTemporalityCumulative, nil
	case otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram: // both have it in one field
		t := otlp.Histogram(dataOf(e.Item())).AggregationTemporality()
		if t == otlp.AggregationTemporalityUnspecified {
			return 0, fmt.Errorf("the %s has no aggregation temporality", typeName(data))
		}
		return t, nil
	}
	return 0, fmt.Errorf("expected a histogram, exponential histogram or summary, found a %s", typeName(data))
}

var convertSummaryCount = convertSummary("convert_summary_count_val_to_sum", "_count", countValue)

var convertSummarySum = convertSummary("convert_summary_sum_val_to_sum", "_sum", sumValue)

// convertSummary is a function on data points that adds a sum with numbers of all points of
// the summary: like the Collector, for each of the points that it is done to.
func convertSummary(name, suffix string, value func(*wire.Encoder, uint32, []byte) (bool, error)) ottl.Function {
	return ottl.Function{Name: name, In: ofPoint, Adds: true, Params: ottl.P("string_agg_temp", "monotonic", "suffix?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
		kind, err := sumKindOf(a, 0)
		if err != nil {
			return nil, err
		}
		suffix, err := a.LiteralString(2, suffix)
		if err != nil {
			return nil, err
		}
		d := derived{suffix: suffix, data: otlpfield.MetricSum, kind: kind, value: value}
		return func(e *ottl.Env) error {
			if e.MetricData() != otlpfield.MetricSummary {
				return nil
			}
			return d.add(e, true)
		}, nil
	}}
}

var convertSummaryQuantiles = ottl.Function{Name: "convert_summary_quantile_val_to_gauge", In: ofMetric, Adds: true, Params: ottl.P("attribute_key?", "suffix?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	key, err := a.LiteralString(0, "quantile")
	if err != nil {
		return nil, err
	}
	suffix, err := a.LiteralString(1, ".quantiles")
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) error {
		if e.MetricData() != otlpfield.MetricSummary {
			return nil
		}
		return addQuantiles(e, key, suffix)
	}, nil
}}

// addQuantiles adds a gauge with a point for each quantile of a summary's points.
func addQuantiles(e *ottl.Env, key, suffix string) error {
	metric := otlp.Metric(e.Item())
	summary := otlp.Summary(dataOf(metric))
	room := len(metric) + len(suffix) + 64
	for p := range summary.DataPoints().All() {
		n, own := quantilesOf(p)
		room += n * (own + len(key) + 2*pointRoom)
	}
	enc, ok := encoder(e, room)
	if !ok {
		return nil
	}
	appendDetails(&enc, metric, suffix, "")
	mark := enc.Open(otlpfield.MetricGauge)
	for p := range summary.DataPoints().All() {
		own := identity(e, p)
		for q := range p.QuantileValues().All() {
			point := enc.Open(otlpfield.GaugeDataPoints)
			appendQuantile(&enc, own, key, q.Quantile())
			enc.Double(otlpfield.NumberDataPointAsDouble, q.Value())
			enc.Close(point)
		}
	}
	enc.Close(mark)
	return added(e, enc.Buf)
}

// isIdentity reports whether a cursor in a point of a summary is at an attribute or a time.
func isIdentity(c *wire.Cursor) bool {
	switch c.Num {
	case otlpfield.SummaryDataPointAttributes:
		return c.Type == wire.TypeBytes
	case otlpfield.SummaryDataPointStartTimeUnixNano, otlpfield.SummaryDataPointTimeUnixNano:
		return c.Type == wire.TypeFixed64
	}
	return false
}

// quantilesOf returns how many quantiles a point of a summary has, and how many bytes its
// attributes and times take.
func quantilesOf(point []byte) (n, own int) {
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		switch {
		case isIdentity(&c):
			own += c.End - c.Start
		case c.Num == otlpfield.SummaryDataPointQuantileValues && c.Type == wire.TypeBytes:
			n++
		}
	}
	return n, own
}

// identity returns the attributes and times of a point of a summary, so that for each of
// its quantiles not all the others are read.
func identity(e *ottl.Env, point []byte) []byte {
	_, own := quantilesOf(point)
	b := e.Scratch(own)
	if b == nil {
		return nil // the statement fails for want of memory
	}
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if isIdentity(&c) {
			b = append(b, point[c.Start:c.End]...)
		}
	}
	return b
}

// appendQuantile appends the attributes and times of a point of a summary, with the quantile
// as attribute key.
func appendQuantile(enc *wire.Encoder, point []byte, key string, quantile float64) {
	pending := true
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if pending && c.Num == otlpfield.SummaryDataPointAttributes && string(otlp.KeyValue(c.Bytes).Key()) == key {
			appendDouble(enc, key, quantile)
			pending = false
			continue
		}
		enc.Raw(point[c.Start:c.End])
	}
	if pending {
		appendDouble(enc, key, quantile)
	}
}

// appendDouble appends an attribute of a NumberDataPoint.
func appendDouble(enc *wire.Encoder, key string, v float64) {
	mark := enc.Open(otlpfield.NumberDataPointAttributes)
	enc.String(otlpfield.KeyValueKey, key)
	value := enc.Open(otlpfield.KeyValueValue)
	enc.Double(otlpfield.AnyValueDoubleValue, v)
	enc.Close(value)
	enc.Close(mark)
}
