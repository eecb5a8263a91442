package funcs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

const (
	removeBound  = "remove_explicit_bound"
	limitBuckets = "limit_buckets"
)

var mergeHistogramBuckets = ottl.Function{Name: "merge_histogram_buckets", In: ofPoint, Params: ottl.P("target_value", "method?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	method, err := a.LiteralString(1, removeBound)
	if err != nil {
		return nil, err
	}
	if method != removeBound && method != limitBuckets {
		return nil, a.Errorf(1, "expected %s or %s, found %q", removeBound, limitBuckets, method)
	}
	target, err := a.Value(0)
	if err != nil {
		return nil, err
	}
	if v, ok := a.Constant(0); ok {
		if _, err := targetValue(v, method); err != nil {
			return nil, a.Errorf(0, "%w", err)
		}
	}
	return func(e *ottl.Env) error {
		if e.MetricData() != otlpfield.MetricHistogram {
			return nil
		}
		v, err := target(e)
		if err != nil {
			return err
		}
		n, err := targetValue(v, method)
		if err != nil {
			return err
		}
		mergeBuckets(e, n, method)
		return nil
	}, nil
}}

// targetValue returns a bound, or how many buckets there may be.
func targetValue(v ottl.Value, method string) (float64, error) {
	n, ok, err := ottl.LikeDouble(v)
	switch {
	case err != nil:
		return 0, err
	case !ok:
		return 0, errors.New("expected a number, found nil")
	case method == limitBuckets && (n < 1 || math.Trunc(n) != n || n > math.MaxInt64):
		return 0, fmt.Errorf("expected a number of buckets, found %v", n)
	}
	return n, nil
}

// mergeBuckets merges buckets of the data point, whose counts fit its bounds.
func mergeBuckets(e *ottl.Env, target float64, method string) {
	point := otlp.HistogramDataPoint(e.Part())
	f := point.Decode()
	counts, bounds := f.BucketCounts.Len(), f.ExplicitBounds.Len()
	if counts != bounds+1 || counts == 1 {
		return
	}
	var ends func(i int) bool // bound i stays
	if method == removeBound {
		remove := findBound(f.ExplicitBounds, target)
		if remove < 0 {
			return
		}
		ends = func(i int) bool { return i != remove }
	} else {
		if float64(counts) <= target || !increasing(f.ExplicitBounds) {
			return
		}
		each := (counts-1)/int(target) + 1
		ends = func(i int) bool { return i%each == each-1 }
	}
	enc, ok := encoder(e, len(point)+16*counts+32)
	if !ok {
		return
	}
	appendExcept(&enc, point, fields(otlpfield.HistogramDataPointBucketCounts, otlpfield.HistogramDataPointExplicitBounds))
	appendMerged(&enc, &f, bounds, ends)
	e.SetPart(enc.Buf)
}

// appendMerged appends the counts and the bounds of which ends reports that they stay.
func appendMerged(enc *wire.Encoder, f *otlp.HistogramDataPointFields, bounds int, ends func(i int) bool) {
	mark := enc.Open(otlpfield.HistogramDataPointBucketCounts)
	i, sum := 0, uint64(0)
	for n := range f.BucketCounts.All() {
		sum += n
		if i == bounds || ends(i) {
			enc.Buf = binary.LittleEndian.AppendUint64(enc.Buf, sum)
			sum = 0
		}
		i++
	}
	enc.Close(mark)
	mark = enc.Open(otlpfield.HistogramDataPointExplicitBounds)
	i = 0
	for b := range f.ExplicitBounds.All() {
		if ends(i) {
			enc.Buf = binary.LittleEndian.AppendUint64(enc.Buf, math.Float64bits(b))
		}
		i++
	}
	enc.Close(mark)
}

// findBound returns the index of a bound, -1 if there is none.
func findBound(bounds otlp.Doubles, target float64) int {
	const near = 1e-12
	i := 0
	for b := range bounds.All() {
		if math.Abs(b-target) < near {
			return i
		}
		i++
	}
	return -1
}

func increasing(bounds otlp.Doubles) bool {
	before := math.NaN()
	for b := range bounds.All() {
		if !(b > before) && !math.IsNaN(before) || math.IsNaN(b) {
			return false
		}
		before = b
	}
	return true
}
