package funcs

import (
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

var extractPercentileMetric = ottl.Function{Name: "extract_percentile_metric", In: ofMetric, Adds: true, Params: ottl.P("percentile", "suffix?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	percentile, err := a.LiteralDouble(0, 0)
	if err != nil {
		return nil, err
	}
	if !(percentile > 0 && percentile < 100) {
		return nil, a.Errorf(0, "expected a number above 0 and below 100, found %g", percentile)
	}
	name := fmt.Sprintf("p%g", percentile)
	suffix, err := a.LiteralString(1, "")
	if err != nil {
		return nil, err
	}
	if suffix == "" {
		suffix = "_" + name
	}
	return func(e *ottl.Env) error {
		switch e.MetricData() {
		case otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram:
			return addPercentile(e, percentile, name, suffix)
		}
		return nil
	}, nil
}}

// addPercentile adds a gauge with the percentile of each data point.
func addPercentile(e *ottl.Env, percentile float64, name, suffix string) error {
	metric, data := otlp.Metric(e.Item()), e.MetricData()
	from := dataOf(metric)
	enc, ok := encoder(e, len(metric)+len(suffix)+64+pointRoom*countPoints(from))
	if !ok {
		return nil
	}
	appendPercentileDetails(&enc, metric, name, suffix)
	mark := enc.Open(otlpfield.MetricGauge)
	n := 0
	for p := range points(from) {
		value, ok, err := percentileOf(data, p, percentile)
		if err != nil {
			return fmt.Errorf("the percentile of data point %d: %w", n, err)
		}
		if !ok {
			continue
		}
		point := enc.Open(otlpfield.GaugeDataPoints)
		appendOrigin(&enc, data, p)
		enc.Double(otlpfield.NumberDataPointAsDouble, value)
		enc.Close(point)
		n++
	}
	enc.Close(mark)
	if n == 0 {
		return nil
	}
	return added(e, enc.Buf)
}

// appendPercentileDetails is appendDetails with the name of the percentile in the
// description.
func appendPercentileDetails(enc *wire.Encoder, metric otlp.Metric, name, suffix string) {
	f := metric.Decode()
	mark := enc.Open(otlpfield.MetricName)
	enc.Raw(f.Name)
	enc.Buf = append(enc.Buf, suffix...)
	enc.Close(mark)
	mark = enc.Open(otlpfield.MetricDescription)
	if len(f.Description) > 0 {
		enc.Raw(f.Description)
		enc.Buf = append(append(append(enc.Buf, " ("...), name...), ')')
	} else {
		enc.Buf = append(enc.Buf, name...)
	}
	enc.Close(mark)
	if len(f.Unit) > 0 {
		enc.Bytes(otlpfield.MetricUnit, f.Unit)
	}
}

// percentileOf returns the percentile of a point; ok is false if it has no values.
func percentileOf(data uint32, point []byte, percentile float64) (v float64, ok bool, err error) {
	if data == otlpfield.MetricHistogram {
		return histogramPercentile(otlp.HistogramDataPoint(point).Decode(), percentile)
	}
	return exponentialPercentile(otlp.ExponentialHistogramDataPoint(point).Decode(), percentile)
}

// targetOf returns how many of count values are at most the percentile.
func targetOf(count uint64, percentile float64) uint64 {
	return uint64(math.Ceil(float64(count) * (percentile / 100)))
}

func histogramPercentile(f otlp.HistogramDataPointFields, percentile float64) (v float64, ok bool, err error) {
	counts, bounds := f.BucketCounts.Len(), f.ExplicitBounds.Len()
	switch {
	case f.Count == 0 || counts == 0:
		return 0, false, nil
	case counts != bounds+1:
		return 0, false, fmt.Errorf("expected one bucket more than bounds, found %d and %d", counts, bounds)
	case counts == 1 && (!f.HasMin || !f.HasMax):
		return 0, false, nil
	}
	target := targetOf(f.Count, percentile)
	i, total := 0, uint64(0)
	for n := range f.BucketCounts.All() {
		before := total
		if total += n; total < target {
			i++
			continue
		}
		lower, upper, fixed := bucketRange(&f, i, counts)
		if fixed {
			return lower, true, nil
		}
		v, err = between(lower, upper, float64(target-before)/float64(n))
		return v, err == nil, err
	}
	return 0, false, fmt.Errorf("the buckets have %d values, expected at least %d", total, target)
}

// bucketRange returns the range of bucket i; fixed: only lower is known.
func bucketRange(f *otlp.HistogramDataPointFields, i, counts int) (lower, upper float64, fixed bool) {
	at := 0
	for b := range f.ExplicitBounds.All() {
		if at == i-1 {
			lower = b
		}
		if at == i {
			upper = b
			break
		}
		at++
	}
	switch {
	case counts == 1:
		return f.Min, f.Max, false
	case i == 0 && f.HasMin && f.Min < upper:
		return f.Min, upper, false
	case i == 0:
		return min(upper, 0), upper, upper < 0
	case i < counts-1:
		return lower, upper, false
	}
	return lower, f.Max, !f.HasMax || f.Max <= lower
}

func between(lower, upper, ratio float64) (float64, error) {
	if ratio < 0 || ratio > 1 {
		return 0, fmt.Errorf("the counts of the buckets do not add up: %g of a bucket", ratio)
	}
	return lower + ratio*(upper-lower), nil
}

func exponentialPercentile(f otlp.ExponentialHistogramDataPointFields, percentile float64) (v float64, ok bool, err error) {
	negative, positive := f.Negative.BucketCounts().Len(), f.Positive.BucketCounts().Len()
	if f.Count == 0 || negative == 0 && positive == 0 && f.ZeroCount == 0 {
		return 0, false, nil
	}
	target := targetOf(f.Count, percentile)
	var below uint64 // values in buckets before
	for n := range f.Negative.BucketCounts().All() {
		below += n
	}
	if below >= target && negative > 0 {
		v, err = negativePercentile(&f, negative, below, target)
		return v, err == nil, err
	}
	if below+f.ZeroCount >= target {
		lower, upper := -f.ZeroThreshold, f.ZeroThreshold
		switch {
		case negative == 0 && positive > 0:
			lower = 0
		case positive == 0 && negative > 0:
			upper = 0
		}
		v, err = between(lower, upper, float64(target-below)/float64(f.ZeroCount))
		return v, err == nil, err
	}
	below += f.ZeroCount
	index := int64(f.Positive.Offset())
	for n := range f.Positive.BucketCounts().All() {
		before := below
		if below += n; below >= target {
			v, err = betweenPowers(index, f.Scale, float64(target-before)/float64(n))
			return v, err == nil, err
		}
		index++
	}
	return 0, false, fmt.Errorf("the buckets have %d values, expected at least %d", below, target)
}

// negativePercentile returns the value that has target values at or below it, which is in
// one of n negative buckets with total values. The last bucket has the lowest values.
func negativePercentile(f *otlp.ExponentialHistogramDataPointFields, n int, total, target uint64) (float64, error) {
	index := int64(f.Negative.Offset())
	for count := range f.Negative.BucketCounts().All() {
		total -= count // now those in the buckets behind, which are lower
		if total < target {
			v, err := betweenPowers(index, f.Scale, 1-float64(target-total)/float64(count))
			return -v, err
		}
		index++
	}
	return 0, fmt.Errorf("none of %d buckets has the value", n)
}

// betweenPowers returns the value in bucket index of an exponential histogram.
func betweenPowers(index int64, scale int32, ratio float64) (float64, error) {
	lower, upper := powerBound(index, scale), powerBound(index+1, scale)
	switch {
	case ratio < 0 || ratio > 1:
		return 0, fmt.Errorf("the counts of the buckets do not add up: %g of a bucket", ratio)
	case !(lower > 0 && upper > lower) || math.IsInf(upper, 1):
		return 0, fmt.Errorf("bucket %d of scale %d is outside of the range of doubles", index, scale)
	}
	low, high := math.Log2(lower), math.Log2(upper)
	return math.Exp2(low + (high-low)*ratio), nil
}

// powerBound returns the lower bound of a bucket.
func powerBound(index int64, scale int32) float64 {
	if scale > 0 {
		return math.Exp(float64(index) * math.Ldexp(math.Ln2, -int(scale)))
	}
	if scale < -11 || index<<-scale>>-scale != index {
		return math.Inf(int(min(max(index, -1), 1))) // beyond all doubles, but for index 0
	}
	return math.Ldexp(1, int(min(max(index<<-scale, -4096), 4096)))
}
