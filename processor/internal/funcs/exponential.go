package funcs

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

var convertExponential = ottl.Function{Name: "convert_exponential_histogram_to_histogram", In: ofMetric, Params: ottl.P("distribution_fn", "explicit_bounds"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	name, err := a.LiteralString(0, "")
	if err != nil {
		return nil, err
	}
	spread := spreads[name]
	if spread == nil {
		return nil, a.Errorf(0, "expected upper, midpoint, random or uniform, found %q", name)
	}
	bounds, err := a.LiteralDoubles(1)
	if err != nil {
		return nil, err
	}
	if len(bounds) == 0 {
		return nil, a.Errorf(1, "expected at least one bound")
	}
	pool := &sync.Pool{New: func() any { return &buckets{bounds: bounds, counts: make([]uint64, len(bounds)+1), spread: spread} }}
	return func(e *ottl.Env) error {
		if e.MetricData() == otlpfield.MetricExponentialHistogram {
			b := pool.Get().(*buckets)
			b.convert(e)
			pool.Put(b)
		}
		return nil
	}, nil
}}

// convert makes the metric a histogram with the bounds.
func (b *buckets) convert(e *ottl.Env) {
	metric := e.Item()
	from := dataOf(metric)
	n := countPoints(from)
	enc, ok := encoder(e, len(metric)+64+n*(16*len(b.bounds)+64))
	if !ok {
		return
	}
	appendExcept(&enc, metric, dataFields)
	mark := enc.Open(otlpfield.MetricHistogram)
	appendExcept(&enc, from, fields(otlpfield.ExponentialHistogramDataPoints))
	for p := range points(from) {
		point := enc.Open(otlpfield.HistogramDataPoints)
		appendCommon(&enc, p)
		b.fill(p)
		b.append(&enc)
		enc.Close(point)
	}
	enc.Close(mark)
	e.SetItem(enc.Buf)
}

// renumbered are the fields of ExponentialHistogramDataPoint that HistogramDataPoint has
// with another number; 0: it does not have them.
var renumbered = map[uint32]uint32{
	otlpfield.ExponentialHistogramDataPointAttributes:    otlpfield.HistogramDataPointAttributes,
	otlpfield.ExponentialHistogramDataPointExemplars:     otlpfield.HistogramDataPointExemplars,
	otlpfield.ExponentialHistogramDataPointMin:           otlpfield.HistogramDataPointMin,
	otlpfield.ExponentialHistogramDataPointMax:           otlpfield.HistogramDataPointMax,
	otlpfield.ExponentialHistogramDataPointScale:         0,
	otlpfield.ExponentialHistogramDataPointZeroCount:     0,
	otlpfield.ExponentialHistogramDataPointPositive:      0,
	otlpfield.ExponentialHistogramDataPointNegative:      0,
	otlpfield.ExponentialHistogramDataPointZeroThreshold: 0,
}

// appendCommon appends what both kinds of points have.
func appendCommon(enc *wire.Encoder, point []byte) {
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		num, other := renumbered[c.Num]
		switch {
		case !other:
			enc.Raw(point[c.Start:c.End])
		case num == 0:
		case c.Type == wire.TypeBytes:
			enc.Bytes(num, c.Bytes)
		case c.Type == wire.TypeFixed64:
			enc.Fixed64(num, c.Scalar)
		}
	}
}

// buckets are the counts of a histogram. As in the Collector, what is above the last bound
// is counted below it, in the last but one; the last stays 0.
type buckets struct {
	bounds []float64
	counts []uint64
	spread spread
}

// append appends the counts and the bounds.
func (b *buckets) append(enc *wire.Encoder) {
	mark := enc.Open(otlpfield.HistogramDataPointBucketCounts)
	for _, n := range b.counts {
		enc.Buf = binary.LittleEndian.AppendUint64(enc.Buf, n)
	}
	enc.Close(mark)
	mark = enc.Open(otlpfield.HistogramDataPointExplicitBounds)
	for _, v := range b.bounds {
		enc.Buf = binary.LittleEndian.AppendUint64(enc.Buf, math.Float64bits(v))
	}
	enc.Close(mark)
}

// fill counts what a point of an exponential histogram has in its positive buckets.
func (b *buckets) fill(point []byte) {
	clear(b.counts)
	f := otlp.ExponentialHistogramDataPoint(point).Decode()
	if b.bounds[0] == 0 {
		b.counts[0] += f.ZeroCount
	}
	factor := math.Ldexp(math.Ln2, -int(f.Scale))
	index := int64(f.Positive.Offset())
	for n := range f.Positive.BucketCounts().All() {
		if n != 0 {
			b.add(n, math.Exp(float64(index)*factor), math.Exp(float64(index+1)*factor))
		}
		index++
	}
}

// add counts n values between lower and upper.
func (b *buckets) add(n uint64, lower, upper float64) {
	last := len(b.bounds) - 1
	if lower > b.bounds[last] {
		b.counts[last] += n
		return
	}
	for i := 1; i <= last; i++ {
		if lower > b.bounds[i-1] && upper <= b.bounds[i] {
			b.counts[i-1] += n
			return
		}
	}
	b.spread(b, n, lower, upper)
}

// spread counts n values of a bucket that spans a bound.
type spread func(b *buckets, n uint64, lower, upper float64)

var spreads = map[string]spread{
	"upper":    func(b *buckets, n uint64, _, upper float64) { b.counts[b.below(upper)] += n },
	"midpoint": spreadMidpoint,
	"uniform":  spreadUniform,
	"random":   spreadRandom,
}

// below returns the index of the first bound that is not below v, or of the last.
func (b *buckets) below(v float64) int {
	for i, bound := range b.bounds {
		if v <= bound {
			return i
		}
	}
	return len(b.bounds) - 1
}

func spreadMidpoint(b *buckets, n uint64, lower, upper float64) {
	middle := (lower + upper) / 2
	i := b.below(middle)
	if i > 0 && middle <= b.bounds[i] {
		i--
	}
	b.counts[i] += n
}

func spreadUniform(b *buckets, n uint64, lower, upper float64) {
	start := b.below(lower)
	end := max(start, b.below(upper))
	b.evenly(n, start, end)
}

// evenly gives each of the counts from start to end the same, and the first ones what is
// left.
func (b *buckets) evenly(n uint64, start, end int) {
	k := uint64(end - start + 1)
	for i := start; i <= end; i++ {
		b.counts[i] += n / k
		if uint64(i-start) < n%k {
			b.counts[i]++
		}
	}
}

// maxDraws is how many values are spread one by one.
const maxDraws = 1000

func spreadRandom(b *buckets, n uint64, lower, upper float64) {
	start := b.below(lower)
	end := max(start, b.below(upper))
	left := n
	for i := start; i <= end && end > start; i++ {
		low := lower
		if i > 0 {
			low = max(lower, b.bounds[i-1])
		}
		share := float64(n) * (min(b.bounds[i], upper) - low) / (upper - lower)
		share *= rand.Float64()
		if !(share >= 1) { // also NaN
			continue
		}
		got := left
		if share < float64(left) {
			got = min(left, uint64(share))
		}
		b.counts[i] += got
		left -= got
	}
	if left > maxDraws {
		b.evenly(left-maxDraws, start, end)
		left = maxDraws
	}
	for ; left > 0; left-- {
		b.counts[start+rand.IntN(end-start+1)]++
	}
}
