package aggregate

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// optional is a double that may be absent.
type optional struct {
	v  float64
	ok bool
}

func (o *optional) add(p optional) {
	if p.ok {
		*o = optional{o.v + p.v, true}
	}
}

func (o *optional) atMost(p optional) {
	if p.ok && p.v < o.v {
		o.v = p.v
	}
}

func (o *optional) atLeast(p optional) {
	if p.ok && p.v > o.v {
		o.v = p.v
	}
}

func (o *optional) append(enc *wire.Encoder, num uint32) {
	if o.ok {
		enc.Double(num, o.v)
	}
}

const histogramFields = 1<<otlpfield.HistogramDataPointCount | 1<<otlpfield.HistogramDataPointSum | 1<<otlpfield.HistogramDataPointBucketCounts |
	1<<otlpfield.HistogramDataPointMin | 1<<otlpfield.HistogramDataPointMax

// appendHistogram appends the merged HistogramDataPoint of a group. Points that counted
// nothing add nothing.
func (a *Aggregator) appendHistogram(enc *wire.Encoder, g *group) error {
	raw := a.points[g.first].raw
	f := otlp.HistogramDataPoint(raw).Decode()
	count, sum, low, high := f.Count, optional{f.Sum, f.HasSum}, optional{f.Min, f.HasMin}, optional{f.Max, f.HasMax}
	buckets := a.buckets[0][:0]
	var err error
	if buckets, err = a.addBuckets(buckets, f.BucketCounts); err != nil {
		return err
	}
	for p := range a.rest(g) {
		f := otlp.HistogramDataPoint(p).Decode()
		if f.Count == 0 {
			continue
		}
		count += f.Count
		sum.add(optional{f.Sum, f.HasSum})
		low.atMost(optional{f.Min, f.HasMin})
		high.atLeast(optional{f.Max, f.HasMax})
		if buckets, err = a.addBuckets(buckets, f.BucketCounts); err != nil {
			return err
		}
	}
	a.buckets[0] = buckets
	a.appendStart(enc, g, raw, histogramFields, f.StartTimeUnixNano, func(p []byte) (uint64, bool) {
		h := otlp.HistogramDataPoint(p)
		return h.StartTimeUnixNano(), h.Count() != 0
	})
	if count != 0 {
		enc.Fixed64(otlpfield.HistogramDataPointCount, count)
	}
	sum.append(enc, otlpfield.HistogramDataPointSum)
	if len(buckets) > 0 {
		mark := enc.Open(otlpfield.HistogramDataPointBucketCounts)
		for _, n := range buckets {
			enc.Buf = binary.LittleEndian.AppendUint64(enc.Buf, n)
		}
		enc.Close(mark)
	}
	low.append(enc, otlpfield.HistogramDataPointMin)
	high.append(enc, otlpfield.HistogramDataPointMax)
	a.appendExemplars(enc, g, otlpfield.HistogramDataPointExemplars, func(p []byte) uint64 { return otlp.HistogramDataPoint(p).Count() })
	return nil
}

// addBuckets adds counts, of which there may be more than before.
func (a *Aggregator) addBuckets(buckets []uint64, counts otlp.Fixed64s) ([]uint64, error) {
	i := 0
	for n := range counts.All() {
		if i == len(buckets) {
			if len(buckets) == cap(buckets) {
				if err := a.reserve(16 * max(len(buckets), 8)); err != nil {
					return buckets, err
				}
			}
			buckets = append(buckets, 0)
		}
		buckets[i] += n
		i++
	}
	return buckets, nil
}

// appendExemplars appends the exemplars of the points behind the first that counted
// something.
func (a *Aggregator) appendExemplars(enc *wire.Encoder, g *group, num uint32, count func([]byte) uint64) {
	for p := range a.rest(g) {
		if count(p) == 0 {
			continue
		}
		for c := (wire.Cursor{Buf: p}); c.Next(); {
			if c.Num == num && c.Type == wire.TypeBytes {
				enc.Raw(p[c.Start:c.End])
			}
		}
	}
}
