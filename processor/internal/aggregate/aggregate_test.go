package aggregate_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/internal/aggregate"
)

func attributes(kv ...string) (list []*commonpb.KeyValue) {
	for i := 0; i+1 < len(kv); i += 2 {
		list = append(list, &commonpb.KeyValue{Key: kv[i], Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: kv[i+1]}}})
	}
	return list
}

func number(v any, time, start uint64, kv ...string) *metricspb.NumberDataPoint {
	p := &metricspb.NumberDataPoint{Attributes: attributes(kv...), TimeUnixNano: time, StartTimeUnixNano: start}
	switch v := v.(type) {
	case int:
		p.Value = &metricspb.NumberDataPoint_AsInt{AsInt: int64(v)}
	case float64:
		p.Value = &metricspb.NumberDataPoint_AsDouble{AsDouble: v}
	}
	return p
}

// merge returns the points that are left of points.
func merge[P interface {
	proto.Message
	*T
}, T any](t *testing.T, data uint32, byStart bool, f aggregate.Function, points ...P) (out []P) {
	t.Helper()
	var a aggregate.Aggregator
	for range 2 { // the memory is used again
		a.Begin(data, byStart, nil)
		for _, p := range points {
			b, err := proto.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.Add(b); err != nil {
				t.Fatal(err)
			}
		}
		var enc wire.Encoder
		if err := a.AppendTo(&enc, f); err != nil {
			t.Fatal(err)
		}
		if len(enc.Buf) > a.Size() {
			t.Errorf("%d bytes were appended, Size is %d", len(enc.Buf), a.Size())
		}
		out = nil
		for c := (wire.Cursor{Buf: enc.Buf}); c.Next(); {
			p := P(new(T))
			if err := proto.Unmarshal(c.Bytes, p); err != nil {
				t.Fatal(err)
			}
			out = append(out, p)
		}
		if len(out) != a.Groups() {
			t.Errorf("Groups is %d, %d points were appended", a.Groups(), len(out))
		}
		a.End()
	}
	return out
}

func texts(points []*metricspb.NumberDataPoint) string {
	var b strings.Builder
	for _, p := range points {
		for _, kv := range p.Attributes {
			fmt.Fprintf(&b, "%s=%s ", kv.Key, kv.Value.GetStringValue())
		}
		switch v := p.Value.(type) {
		case *metricspb.NumberDataPoint_AsInt:
			fmt.Fprintf(&b, "int %d", v.AsInt)
		case *metricspb.NumberDataPoint_AsDouble:
			fmt.Fprintf(&b, "double %v", v.AsDouble)
		default:
			b.WriteString("none")
		}
		fmt.Fprintf(&b, " %d-%d; ", p.StartTimeUnixNano, p.TimeUnixNano)
	}
	return strings.TrimSuffix(b.String(), "; ")
}

func TestNumbers(t *testing.T) {
	ints := []*metricspb.NumberDataPoint{number(7, 9, 3, "a", "x"), number(1, 9, 2, "a", "y"), number(2, 9, 1, "a", "x"), number(5, 9, 4, "a", "x"), number(4, 9, 5, "a", "x")}
	doubles := []*metricspb.NumberDataPoint{number(7.5, 9, 0), number(1.5, 9, 0), number(2, 9, 0)}
	for _, c := range []struct {
		function     string
		ints, double string
	}{
		{"sum", "a=x int 18 1-9; a=y int 1 2-9", "double 11 0-9"},
		{"mean", "a=x int 4 1-9; a=y int 1 2-9", "double 3.6666666666666665 0-9"},
		{"min", "a=x int 2 1-9; a=y int 1 2-9", "double 1.5 0-9"},
		{"max", "a=x int 7 1-9; a=y int 1 2-9", "double 7.5 0-9"},
		{"median", "a=x int 4 1-9; a=y int 1 2-9", "double 2 0-9"},
		{"count", "a=x int 4 1-9; a=y int 1 2-9", "double 3 0-9"},
	} {
		f, err := aggregate.ParseFunction(c.function)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(merge(t, otlpfield.MetricSum, false, f, ints...)); got != c.ints {
			t.Errorf("%s: %s, want %s", c.function, got, c.ints)
		}
		if got := texts(merge(t, otlpfield.MetricGauge, false, f, doubles...)); got != c.double {
			t.Errorf("%s: %s, want %s", c.function, got, c.double)
		}
	}
	if _, err := aggregate.ParseFunction("avg"); err == nil || !strings.Contains(err.Error(), "sum, mean, min, max, median, count") {
		t.Errorf("got %v", err)
	}
	if got := texts(merge(t, otlpfield.MetricGauge, false, aggregate.Count, number(7, 1, 1))); got != "int 1 1-1" {
		t.Errorf("the count of one point: %s", got)
	}
	if got := texts(merge(t, otlpfield.MetricGauge, false, aggregate.Sum, number(7, 1, 1), number(1.9, 1, 1))); got != "int 8 1-1" {
		t.Errorf("a double behind an integer: %s", got)
	}
	if got := texts(merge(t, otlpfield.MetricGauge, false, aggregate.Sum, number(nil, 1, 1), number(1.9, 1, 1))); got != "none 1-1" {
		t.Errorf("a number behind no value: %s", got)
	}
}

func TestGroups(t *testing.T) {
	nested := func(v ...string) *metricspb.NumberDataPoint {
		p := number(1, 5, 5)
		p.Attributes = []*commonpb.KeyValue{{Key: "m", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: attributes(v...)}}}}}
		return p
	}
	one := func(v *commonpb.AnyValue) *metricspb.NumberDataPoint {
		p := number(1, 5, 5)
		p.Attributes = []*commonpb.KeyValue{{Key: "k", Value: v}}
		return p
	}
	for _, c := range []struct {
		name    string
		byStart bool
		want    int
		points  []*metricspb.NumberDataPoint
	}{
		{"order of attributes", false, 1, []*metricspb.NumberDataPoint{number(1, 5, 5, "a", "1", "b", "2"), number(1, 5, 5, "b", "2", "a", "1")}},
		{"key and value", false, 2, []*metricspb.NumberDataPoint{number(1, 5, 5, "a", "1b"), number(1, 5, 5, "a1", "b")}},
		{"times", false, 2, []*metricspb.NumberDataPoint{number(1, 5, 5), number(1, 6, 5), number(1, 5, 6)}},
		{"start times", true, 3, []*metricspb.NumberDataPoint{number(1, 5, 5), number(1, 6, 5), number(1, 5, 6)}},
		{"order in maps", false, 1, []*metricspb.NumberDataPoint{nested("a", "1", "b", "2"), nested("b", "2", "a", "1")}},
		{"maps", false, 2, []*metricspb.NumberDataPoint{nested("a", "1"), nested("a", "2")}},
		{"types", false, 4, []*metricspb.NumberDataPoint{
			one(nil), one(&commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "1"}}),
			one(&commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 1}}), one(&commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}),
			one(&commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 1}})}},
	} {
		if got := merge(t, otlpfield.MetricSum, c.byStart, aggregate.Sum, c.points...); len(got) != c.want {
			t.Errorf("%s: %d groups, want %d", c.name, len(got), c.want)
		}
	}
}

func histogram(sum, low, high float64, start uint64, counts ...uint64) *metricspb.HistogramDataPoint {
	p := &metricspb.HistogramDataPoint{Sum: &sum, Min: &low, Max: &high, StartTimeUnixNano: start, TimeUnixNano: 9, ExplicitBounds: []float64{1, 2}, BucketCounts: counts}
	for _, n := range counts {
		p.Count += n
	}
	p.Exemplars = []*metricspb.Exemplar{{Value: &metricspb.Exemplar_AsDouble{AsDouble: sum}}}
	return p
}

func TestHistograms(t *testing.T) {
	other := histogram(1, 1, 1, 1, 1, 1, 1)
	other.ExplicitBounds = []float64{1, 3}
	flagged := histogram(1, 1, 1, 1, 1, 1, 1)
	flagged.Flags = 1
	long := histogram(1, 1, 1, 8, 1, 1, 1, 1) // one bucket too many
	got := merge(t, otlpfield.MetricHistogram, false, aggregate.Max, histogram(5, 2, 3, 4, 1, 2, 3), other, histogram(0, 0, 9, 1), flagged, histogram(4, 1, 7, 3, 0, 1, 0), long)
	if len(got) != 3 {
		t.Fatalf("%d groups, want 3", len(got))
	}
	p := got[0]
	if p.Count != 11 || *p.Sum != 10 || *p.Min != 1 || *p.Max != 7 || p.StartTimeUnixNano != 3 || !slices.Equal(p.BucketCounts, []uint64{2, 4, 4, 1}) || len(p.Exemplars) != 3 {
		t.Errorf("got %v", p)
	}
}

func exponential(offset int32, counts ...uint64) *metricspb.ExponentialHistogramDataPoint {
	p := &metricspb.ExponentialHistogramDataPoint{ZeroCount: 1, Count: 1, Positive: &metricspb.ExponentialHistogramDataPoint_Buckets{Offset: offset, BucketCounts: counts},
		Negative: &metricspb.ExponentialHistogramDataPoint_Buckets{Offset: -offset, BucketCounts: counts}}
	for _, n := range counts {
		p.Count += 2 * n
	}
	return p
}

func TestExponentialHistograms(t *testing.T) {
	empty := exponential(3)
	got := merge(t, otlpfield.MetricExponentialHistogram, false, aggregate.Sum, empty, exponential(2, 1, 2), exponential(1, 5), exponential(4, 7), exponential(math.MaxInt32, 1), exponential(math.MinInt32, 1))
	if len(got) != 3 {
		t.Fatalf("%d groups, want 3", len(got))
	}
	p := got[0]
	if p.Count != 34 || p.ZeroCount != 4 || p.Sum != nil {
		t.Errorf("got %v", p)
	}
	if b := p.Positive; b.Offset != 1 || !slices.Equal(b.BucketCounts, []uint64{5, 1, 2, 7}) {
		t.Errorf("positive %v", b)
	}
	if b := p.Negative; b.Offset != -4 || !slices.Equal(b.BucketCounts, []uint64{7, 0, 1, 7}) {
		t.Errorf("negative %v", b)
	}
}

// TestUnknownFields: the first point of a group keeps what is not merged.
func TestUnknownFields(t *testing.T) {
	unknown := wire.AppendBytes(nil, 1234, "unknown")
	var a aggregate.Aggregator
	a.Begin(otlpfield.MetricSum, false, nil)
	for range 2 {
		b, _ := proto.Marshal(number(1, 2, 3))
		if err := a.Add(append(b, unknown...)); err != nil {
			t.Fatal(err)
		}
	}
	var enc wire.Encoder
	if err := a.AppendTo(&enc, aggregate.Sum); err != nil || !strings.Contains(string(enc.Buf), string(unknown)) {
		t.Errorf("%v, %d bytes without the unknown field", err, len(enc.Buf))
	}
}

// limit refuses more than its bytes.
type limit int

var errLimit = errors.New("limit")

func (l *limit) Reserve(n int) error {
	if *l -= limit(n); *l < 0 {
		return errLimit
	}
	return nil
}

// TestMemory: what many groups take is reserved.
func TestMemory(t *testing.T) {
	var a aggregate.Aggregator
	mem := limit(1 << 20)
	a.Begin(otlpfield.MetricSum, false, &mem)
	var err error
	for i := uint64(0); i < 100_000 && err == nil; i++ {
		b, _ := proto.Marshal(number(1, i, 0))
		err = a.Add(b)
	}
	if !errors.Is(err, errLimit) {
		t.Errorf("100,000 groups in 1 MiB: got %v", err)
	}
	a.End()
	big := number(1, 1, 1)
	for range 50_000 {
		big.Attributes = append(big.Attributes, &commonpb.KeyValue{})
	}
	mem = limit(1 << 20)
	a.Begin(otlpfield.MetricSum, false, &mem)
	b, _ := proto.Marshal(big)
	if err := a.Add(b); !errors.Is(err, errLimit) {
		t.Errorf("a point of 50,000 attributes in 1 MiB: got %v", err)
	}
}

// TestSumIsKept: whatever the groups, the sum of all counts is that of the points.
func TestSumIsKept(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 200 {
		var points []*metricspb.ExponentialHistogramDataPoint
		var want uint64
		for range r.Intn(9) {
			counts := make([]uint64, r.Intn(5))
			for i := range counts {
				counts[i] = r.Uint64() % 9
			}
			p := exponential(int32(r.Intn(5000)-2500), counts...)
			p.Scale = int32(r.Intn(2))
			want += p.Count
			points = append(points, p)
		}
		var got uint64
		for _, p := range merge(t, otlpfield.MetricExponentialHistogram, false, aggregate.Sum, points...) {
			n := p.ZeroCount
			for _, b := range [][]uint64{p.Positive.GetBucketCounts(), p.Negative.GetBucketCounts()} {
				for _, c := range b {
					n += c
				}
			}
			if n != p.Count {
				t.Fatalf("the buckets have %d, the count is %d", n, p.Count)
			}
			got += n
		}
		if got != want {
			t.Fatalf("the sum is %d, want %d", got, want)
		}
	}
}
