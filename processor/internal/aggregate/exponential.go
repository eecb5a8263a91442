package aggregate

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// maxBuckets is how many buckets the merge of exponential histograms may have, if no point
// has more. Points that are further apart are not merged: the offset of a few bytes may be
// 2^31.
const maxBuckets = 2048

// The two ranges of buckets of a point.
const (
	positive = iota
	negative
)

func rangesOf(raw []byte) (r [2]otlp.ExponentialHistogramDataPointBuckets) {
	p := otlp.ExponentialHistogramDataPoint(raw)
	r[positive], r[negative] = p.Positive(), p.Negative()
	return r
}

// extent returns the indices of the first bucket and of the one behind the last.
func extent(b otlp.ExponentialHistogramDataPointBuckets) (low, high int64) {
	low = int64(b.Offset())
	return low, low + int64(b.BucketCounts().Len())
}

// begin notes the extent of the buckets of a group's first point.
func (a *Aggregator) begin(g *group, raw []byte) {
	if a.data != otlpfield.MetricExponentialHistogram {
		return
	}
	for i, b := range rangesOf(raw) {
		g.low[i], g.high[i] = extent(b)
	}
}

// fits reports whether the buckets of a point are near enough to those of a group, and
// extends the group's extent.
func (a *Aggregator) fits(g *group, raw []byte) bool {
	if a.data != otlpfield.MetricExponentialHistogram || otlp.ExponentialHistogramDataPoint(raw).Count() == 0 {
		return true
	}
	low, high := g.low, g.high
	for i, b := range rangesOf(raw) {
		l, h := extent(b)
		switch {
		case l == h:
			continue
		case low[i] == high[i]:
			low[i], high[i] = l, h
			continue
		}
		widest := max(h-l, high[i]-low[i], maxBuckets)
		low[i], high[i] = min(low[i], l), max(high[i], h)
		if high[i]-low[i] > widest {
			return false
		}
	}
	g.low, g.high = low, high
	return true
}

const exponentialFields = 1<<otlpfield.ExponentialHistogramDataPointCount | 1<<otlpfield.ExponentialHistogramDataPointSum |
	1<<otlpfield.ExponentialHistogramDataPointZeroCount | 1<<otlpfield.ExponentialHistogramDataPointPositive | 1<<otlpfield.ExponentialHistogramDataPointNegative |
	1<<otlpfield.ExponentialHistogramDataPointMin | 1<<otlpfield.ExponentialHistogramDataPointMax

// appendExponential appends the merged ExponentialHistogramDataPoint of a group, whose
// points have the same scale. Points that counted nothing add nothing.
func (a *Aggregator) appendExponential(enc *wire.Encoder, g *group) error {
	raw := a.points[g.first].raw
	f := otlp.ExponentialHistogramDataPoint(raw).Decode()
	if err := a.beginBuckets(g); err != nil {
		return err
	}
	a.addRanges(g, raw)
	count, zeros, sum := f.Count, f.ZeroCount, optional{f.Sum, f.HasSum}
	low, high := optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax}
	for p := range a.rest(g) {
		f := otlp.ExponentialHistogramDataPoint(p).Decode()
		if f.Count == 0 {
			continue
		}
		count += f.Count
		zeros += f.ZeroCount
		sum.add(optional{f.Sum, f.HasSum})
		low.atMost(optional{f.Min, f.HasMin})
		high.atLeast(optional{f.Max, f.HasMax})
		a.addRanges(g, p)
	}
	a.appendStart(enc, g, raw, exponentialFields, f.StartTimeUnixNano, func(p []byte) (uint64, bool) {
		h := otlp.ExponentialHistogramDataPoint(p)
		return h.StartTimeUnixNano(), h.Count() != 0
	})
	if count != 0 {
		enc.Fixed64(otlpfield.ExponentialHistogramDataPointCount, count)
	}
	sum.append(enc, otlpfield.ExponentialHistogramDataPointSum)
	if zeros != 0 {
		enc.Fixed64(otlpfield.ExponentialHistogramDataPointZeroCount, zeros)
	}
	a.appendRange(enc, g, positive, otlpfield.ExponentialHistogramDataPointPositive)
	a.appendRange(enc, g, negative, otlpfield.ExponentialHistogramDataPointNegative)
	low.append(enc, otlpfield.ExponentialHistogramDataPointMin)
	high.append(enc, otlpfield.ExponentialHistogramDataPointMax)
	a.appendExemplars(enc, g, otlpfield.ExponentialHistogramDataPointExemplars, func(p []byte) uint64 { return otlp.ExponentialHistogramDataPoint(p).Count() })
	return nil
}

// beginBuckets makes the buckets of a group, all of them 0.
func (a *Aggregator) beginBuckets(g *group) error {
	for i := range g.low {
		n := int(g.high[i] - g.low[i])
		if n > cap(a.buckets[i]) {
			if err := a.reserve(8 * n); err != nil {
				return err
			}
			a.buckets[i] = make([]uint64, n)
		}
		a.buckets[i] = a.buckets[i][:n]
		clear(a.buckets[i])
	}
	return nil
}

// addRanges adds the buckets of a point.
func (a *Aggregator) addRanges(g *group, raw []byte) {
	for i, b := range rangesOf(raw) {
		at := int64(b.Offset()) - g.low[i]
		for n := range b.BucketCounts().All() {
			a.buckets[i][at] += n
			at++
		}
	}
}

// appendRange appends the buckets of a group as field num.
func (a *Aggregator) appendRange(enc *wire.Encoder, g *group, which int, num uint32) {
	if len(a.buckets[which]) == 0 {
		return
	}
	mark := enc.Open(num)
	if offset := int32(g.low[which]); offset != 0 {
		enc.Varint(otlpfield.ExponentialHistogramDataPointBucketsOffset, uint64(uint32(offset<<1)^uint32(offset>>31)))
	}
	counts := enc.Open(otlpfield.ExponentialHistogramDataPointBucketsBucketCounts)
	for _, n := range a.buckets[which] {
		enc.Buf = binary.AppendUvarint(enc.Buf, n)
	}
	enc.Close(counts)
	enc.Close(mark)
}
