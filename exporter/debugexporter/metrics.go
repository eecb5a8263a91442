package debugexporter

import (
	"iter"
	"math"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
)

// series is what the points of a metric have in common.
type series struct {
	name, unit  []byte
	temporality otlp.AggregationTemporality
}

// normalMetric prints a line for each data point:
//
//	http.server.duration{route=/cart} count=3 sum=0.5 le0.1=1 le1=2 0 [time=… unit=s temporality=Delta]
func normalMetric(p *printer, item []byte) {
	m := otlp.Metric(item)
	of := series{name: m.Name(), unit: m.Unit()}
	if gauge, ok := m.Gauge(); ok {
		p.normalNumbers(of, gauge.DataPoints())
	} else if sum, ok := m.Sum(); ok {
		of.temporality = sum.AggregationTemporality()
		p.normalNumbers(of, sum.DataPoints())
	} else if h, ok := m.Histogram(); ok {
		of.temporality = h.AggregationTemporality()
		p.normalHistogram(of, h)
	} else if h, ok := m.ExponentialHistogram(); ok {
		of.temporality = h.AggregationTemporality()
		p.normalExponential(of, h)
	} else if summary, ok := m.Summary(); ok {
		p.normalSummary(of, summary)
	}
}

// point begins the line of a data point.
func (p *printer) point(name []byte, l otlp.List[otlp.KeyValue]) *text {
	p.str(name).s("{")
	sep := ""
	for k, v := range otlp.Attributes(l, p.dict) {
		if p.s(sep).str(k).s("=").value(v).full {
			break
		}
		sep = ","
	}
	return p.s("} ")
}

// endPoint ends the line of a data point.
func (p *printer) endPoint(of series, at uint64) *text {
	x := p.details()
	x.time(at)
	if len(of.unit) > 0 {
		x.add("unit").str(of.unit)
	}
	if of.temporality != otlp.AggregationTemporalityUnspecified {
		x.add("temporality").s(enumName(of.temporality.String(), "AGGREGATION_TEMPORALITY_"))
	}
	return x.end()
}

func (p *printer) normalNumbers(of series, l otlp.List[otlp.NumberDataPoint]) {
	for point := range l.All() {
		f := point.Decode()
		p.point(of.name, f.Attributes)
		if v, ok := point.AsInt(); ok {
			p.int(v)
		} else if v, ok := point.AsDouble(); ok {
			p.short(v)
		}
		if p.endPoint(of, f.TimeUnixNano).full {
			return
		}
	}
}

// totals prints the beginning of both kinds of histograms.
func (p *printer) totals(count uint64, sum, low, high optional) {
	p.s("count=").uint(count)
	for _, v := range []struct {
		name string
		optional
	}{{" sum=", sum}, {" min=", low}, {" max=", high}} {
		if v.ok {
			p.s(v.name).short(v.value)
		}
	}
}

type optional struct {
	value float64
	ok    bool
}

func (p *printer) normalHistogram(of series, h otlp.Histogram) {
	for point := range h.DataPoints().All() {
		f := point.Decode()
		p.point(of.name, f.Attributes)
		p.totals(f.Count, optional{f.Sum, f.HasSum}, optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax})
		p.normalBuckets(f)
		if p.endPoint(of, f.TimeUnixNano).full {
			return
		}
	}
}

func (p *printer) normalBuckets(f otlp.HistogramDataPointFields) {
	bound, stop := iter.Pull(f.ExplicitBounds.All())
	defer stop()
	for n := range f.BucketCounts.All() {
		p.s(" ")
		if v, ok := bound(); ok { // the last bucket has none
			p.s("le").short(v).s("=")
		}
		if p.uint(n).full {
			return
		}
	}
}

func (p *printer) normalExponential(of series, h otlp.ExponentialHistogram) {
	for point := range h.DataPoints().All() {
		f := point.Decode()
		p.point(of.name, f.Attributes)
		p.totals(f.Count, optional{f.Sum, f.HasSum}, optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax})
		for b := range exponentialBuckets(f) {
			switch {
			case b.zero:
				p.s(" zero=")
			case b.negative:
				p.s(" le").short(-b.lower).s("=")
			default:
				p.s(" le").short(b.upper).s("=")
			}
			if p.uint(b.count).full {
				break
			}
		}
		if p.endPoint(of, f.TimeUnixNano).full {
			return
		}
	}
}

// maxNegativeBuckets is the maximum number of buckets of the negative range
// that are shown: they are in reverse order, so they are collected first. SDKs
// use 160.
const maxNegativeBuckets = 1 << 14

// bucket is one of an exponential histogram, by the absolute values of its
// bounds.
type bucket struct {
	lower, upper   float64
	count          uint64
	zero, negative bool
}

// exponentialBuckets iterates over the buckets from the lowest to the highest.
// Bucket i of a scale reaches from base^i to base^(i+1), base being 2^(2^-scale)
// (metrics.proto, ExponentialHistogramDataPoint).
func exponentialBuckets(f otlp.ExponentialHistogramDataPointFields) iter.Seq[bucket] {
	factor := math.Ldexp(math.Ln2, -int(f.Scale))
	at := func(i int64, n uint64, negative bool) bucket {
		return bucket{math.Exp(float64(i) * factor), math.Exp(float64(i+1) * factor), n, false, negative}
	}
	return func(yield func(bucket) bool) {
		i := int64(f.Negative.Offset())
		var negative []bucket
		for n := range f.Negative.BucketCounts().All() {
			if len(negative) == maxNegativeBuckets {
				break
			}
			negative = append(negative, at(i, n, true))
			i++
		}
		for _, b := range slices.Backward(negative) {
			if !yield(b) {
				return
			}
		}
		if f.ZeroCount != 0 && !yield(bucket{count: f.ZeroCount, zero: true}) {
			return
		}
		i = int64(f.Positive.Offset())
		for n := range f.Positive.BucketCounts().All() {
			if !yield(at(i, n, false)) {
				return
			}
			i++
		}
	}
}

func (p *printer) normalSummary(of series, summary otlp.Summary) {
	for point := range summary.DataPoints().All() {
		f := point.Decode()
		p.point(of.name, f.Attributes)
		p.s("count=").uint(f.Count).s(" sum=").fixed(f.Sum)
		for q := range f.QuantileValues.All() {
			if p.s(" q").short(q.Quantile()).s("=").short(q.Value()).full {
				break
			}
		}
		if p.endPoint(of, f.TimeUnixNano).full {
			return
		}
	}
}
