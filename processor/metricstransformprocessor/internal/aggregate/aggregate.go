// Package aggregate joins data points of metrics, on the wire. Points belong together if
// they have the same attributes and time:
//
//	points  ─► groups by attributes, time, and what cannot be joined ─► one point of each group
//	           (the start of deltas, the bounds of histograms, …)
//
// A point that is alone in its group is returned as it is. Of a group the first point is
// kept, unknown fields included, with the joined values.
package aggregate

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// A Func is how numbers are joined. Histograms are always added up.
type Func string

// The functions. As in the Collector, the count of a point that is alone is its value.
const (
	Sum    Func = "sum"
	Mean   Func = "mean"
	Min    Func = "min"
	Max    Func = "max"
	Median Func = "median"
	Count  Func = "count"
)

// Funcs are all functions.
var Funcs = []Func{Sum, Mean, Min, Max, Median, Count}

// Valid reports whether f is a function.
func (f Func) Valid() bool { return slices.Contains(Funcs, f) }

// Memory is asked before memory is allocated. Its error ends the work.
type Memory interface{ Reserve(n int) error }

// attributesOf are the fields of a data point with its attributes, by the field of Metric
// that has the points.
var attributesOf = map[uint32]uint32{
	otlpfield.MetricGauge:                otlpfield.NumberDataPointAttributes,
	otlpfield.MetricSum:                  otlpfield.NumberDataPointAttributes,
	otlpfield.MetricHistogram:            otlpfield.HistogramDataPointAttributes,
	otlpfield.MetricExponentialHistogram: otlpfield.ExponentialHistogramDataPointAttributes,
	otlpfield.MetricSummary:              otlpfield.SummaryDataPointAttributes,
}

// AttributesOf returns the field with the attributes of the data points of a metric, whose
// points are in field data of Metric; 0 if that is none.
func AttributesOf(data uint32) uint32 { return attributesOf[data] }

// groupBytes is what a group takes beside its key, and pointBytes what a point takes in a
// list.
const (
	groupBytes = 128
	pointBytes = 64
)

// Points joins the data points of a metric, which are in field data of Metric: a gauge, a
// sum or a histogram. The points of a summary cannot be joined, and are returned as they
// are. delta says that they are deltas: only those with the same start are joined. The
// result has the groups in the order of their first points.
func Points(data uint32, delta bool, f Func, points [][]byte, mem Memory) ([][]byte, error) {
	if data == otlpfield.MetricSummary || data == 0 || len(points) < 2 {
		return points, nil
	}
	g := grouping{data: data, delta: delta && data != otlpfield.MetricGauge, groups: map[string]int32{}}
	if err := mem.Reserve(pointBytes * len(points)); err != nil {
		return nil, err
	}
	g.next = make([]int32, len(points))
	for i, p := range points {
		if err := g.add(int32(i), p, mem); err != nil {
			return nil, err
		}
	}
	joined := make([][]byte, 0, len(g.firsts))
	for _, first := range g.firsts {
		members := g.members[:0]
		for i := first; i >= 0; i = g.next[i] {
			members = append(members, points[i])
		}
		g.members = members
		out, err := join(data, f, members, mem)
		if err != nil {
			return nil, err
		}
		joined = append(joined, out...)
	}
	return joined, nil
}

// grouping finds the points that belong together. They are linked lists of indices.
type grouping struct {
	data   uint32
	delta  bool
	groups map[string]int32 // index in firsts
	firsts []int32
	lasts  []int32
	next   []int32 // -1: the last one

	key     []byte
	attrs   []keyed
	members [][]byte
}

type keyed struct{ key, value []byte }

func (g *grouping) add(i int32, point []byte, mem Memory) error {
	g.appendKey(point)
	g.next[i] = -1
	if at, ok := g.groups[string(g.key)]; ok {
		g.next[g.lasts[at]] = i
		g.lasts[at] = i
		return nil
	}
	if err := mem.Reserve(2*len(g.key) + groupBytes); err != nil {
		return err
	}
	g.groups[string(g.key)] = int32(len(g.firsts))
	g.firsts, g.lasts = append(g.firsts, i), append(g.lasts, i)
	return nil
}

// appendKey makes the key of the group of a point.
func (g *grouping) appendKey(point []byte) {
	num := attributesOf[g.data]
	g.attrs = g.attrs[:0]
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes {
			f := otlp.KeyValue(c.Bytes).Decode()
			g.attrs = append(g.attrs, keyed{f.Key, f.Value})
		}
	}
	slices.SortStableFunc(g.attrs, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	k := g.key[:0]
	for i, a := range g.attrs {
		if i+1 < len(g.attrs) && bytes.Equal(a.key, g.attrs[i+1].key) {
			continue // of equal keys the last counts
		}
		k = appendText(k, a.key)
		k = appendValue(k, otlp.AnyValue(a.value).Resolve(nil))
	}
	k = append(k, 0xff) // no kind of value: the attributes end
	k = binary.LittleEndian.AppendUint64(k, fixed(point, otlpfield.NumberDataPointTimeUnixNano))
	if g.delta {
		k = binary.LittleEndian.AppendUint64(k, fixed(point, otlpfield.NumberDataPointStartTimeUnixNano))
	}
	switch g.data {
	case otlpfield.MetricHistogram:
		k = appendHistogramKey(k, point)
	case otlpfield.MetricExponentialHistogram:
		k = appendExponentialKey(k, point)
	}
	g.key = k
}

func appendText(k, text []byte) []byte {
	return append(binary.AppendUvarint(k, uint64(len(text))), text...)
}

// appendValue writes a value such that those are equal whose JSON is: an int and a double
// of the same value, bytes and their base64.
func appendValue(k []byte, v otlp.Value) []byte {
	switch v.Kind() {
	case otlp.KindString:
		return appendText(append(k, 's'), v.Text())
	case otlp.KindBytes:
		k = binary.AppendUvarint(append(k, 's'), uint64(base64.StdEncoding.EncodedLen(len(v.Text()))))
		return base64.StdEncoding.AppendEncode(k, v.Text())
	case otlp.KindInt:
		return append(strconv.AppendInt(append(k, 'n'), v.Int(), 10), 0)
	case otlp.KindDouble:
		return append(strconv.AppendFloat(append(k, 'n'), v.Double(), 'f', -1, 64), 0)
	case otlp.KindBool:
		return strconv.AppendBool(append(k, 'b'), v.Bool())
	case otlp.KindEmpty:
		return append(k, 'z')
	}
	return v.AppendText(append(k, 'j')) // a list or a map, which end by themselves
}

func fixed(m []byte, num uint32) uint64 {
	v, _ := wire.LastScalar(m, num, wire.TypeFixed64)
	return v
}

func varint(m []byte, num uint32) uint64 {
	v, _ := wire.LastScalar(m, num, wire.TypeVarint)
	return v
}

func has(m []byte, num uint32) byte {
	if _, ok := wire.LastScalar(m, num, wire.TypeFixed64); ok {
		return 1
	}
	return 0
}

// join joins the points of a group. Points that cannot be joined are returned apart.
func join(data uint32, f Func, points [][]byte, mem Memory) ([][]byte, error) {
	if len(points) == 1 {
		return points, nil
	}
	var joined []byte
	var err error
	var apart [][]byte
	switch data {
	case otlpfield.MetricHistogram:
		joined, err = joinHistograms(points, mem)
	case otlpfield.MetricExponentialHistogram:
		joined, apart, err = joinExponential(points, mem)
	default:
		joined, err = joinNumbers(f, points, mem)
	}
	return append([][]byte{joined}, apart...), err
}

// earliest returns the first start of points.
func earliest(points [][]byte) uint64 {
	start := fixed(points[0], otlpfield.NumberDataPointStartTimeUnixNano)
	for _, p := range points[1:] {
		start = min(start, fixed(p, otlpfield.NumberDataPointStartTimeUnixNano))
	}
	return start
}

// without begins a message with the fields of point except some.
func without(point []byte, more int, mem Memory, nums ...uint32) (wire.Encoder, error) {
	size := len(point) + more
	if err := mem.Reserve(size); err != nil {
		return wire.Encoder{}, err
	}
	e := wire.Encoder{Buf: make([]byte, 0, size)}
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if !slices.Contains(nums, c.Num) {
			e.Raw(point[c.Start:c.End])
		}
	}
	return e, nil
}

func setFixed(e *wire.Encoder, num uint32, v uint64) {
	if v != 0 {
		e.Fixed64(num, v)
	}
}

// lower returns b if it is lower than a.
func lower(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}
