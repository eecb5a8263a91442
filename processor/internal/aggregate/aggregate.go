package aggregate

import (
	"fmt"
	"hash/maphash"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Function is how the values of numbers are merged. Histograms are always added up.
type Function uint8

// The functions.
const (
	Sum Function = iota
	Mean
	Min
	Max
	Median
	Count
)

var functions = []string{"sum", "mean", "min", "max", "median", "count"}

// ParseFunction returns the function of a name.
func ParseFunction(name string) (Function, error) {
	for i, f := range functions {
		if f == name {
			return Function(i), nil
		}
	}
	return 0, fmt.Errorf("unknown aggregation function %q, expected one of %s", name, strings.Join(functions, ", "))
}

// Memory is asked before working memory is allocated. Its error ends the aggregation.
type Memory interface{ Reserve(n int) error }

const (
	// keptBytes is how much working memory is kept from use to use, and is not reserved.
	keptBytes = 64 << 10

	groupBytes = 56 // of a group with its entry in the index
	pointBytes = 32
	entryBytes = 48

	// maxTries is how many groups with the same hash a point is compared with.
	maxTries = 16
)

// Aggregator merges data points of one type. Its memory is used again after Begin.
type Aggregator struct {
	data    uint32 // field of Metric
	byStart bool
	mem     Memory
	held    int // bytes of working memory

	seed    maphash.Seed
	index   map[uint64]int32 // hash to the newest group that has it
	groups  []group
	points  []point
	keys    []byte // of the groups
	key     keyBuilder
	buckets [3][]uint64
	doubles []float64
	ints    []int64
}

// group is points with the same key, as indices of points.
type group struct {
	keyStart, keyEnd int
	first, last      int32
	older            int32 // group with the same hash, -1
	size             int32
	low, high        [2]int64 // buckets of exponential histograms: positive, negative
}

// point is a point of a group.
type point struct {
	raw  []byte
	next int32 // -1
}

// Begin starts an aggregation of points of the metrics whose data are in field data, such as
// otlpfield.MetricGauge. Points with different start times are not merged if byStart is
// set, as those of delta temporality must be.
func (a *Aggregator) Begin(data uint32, byStart bool, mem Memory) {
	if a.index == nil {
		a.index, a.seed = map[uint64]int32{}, maphash.MakeSeed()
	}
	a.data, a.byStart, a.mem = data, byStart, mem
}

// End lets go of the points. Large working memory is freed.
func (a *Aggregator) End() {
	if a.held > keptBytes {
		*a = Aggregator{}
		return
	}
	clear(a.index)
	clear(a.points)
	a.groups, a.points, a.keys, a.mem = a.groups[:0], a.points[:0], a.keys[:0], nil
	a.key.forget()
}

// Add adds a point, which must not change until End.
func (a *Aggregator) Add(raw []byte) error {
	if err := a.growKey(len(raw)); err != nil {
		return err
	}
	key := a.key.of(a, raw)
	if err := a.grow(len(key)); err != nil {
		return err
	}
	hash := maphash.Bytes(a.seed, key)
	n := int32(len(a.points))
	a.points = append(a.points, point{raw, -1})
	older := int32(-1)
	if newest, ok := a.index[hash]; ok {
		for i, tries := newest, 0; i >= 0 && tries < maxTries; i, tries = a.groups[i].older, tries+1 {
			g := &a.groups[i]
			if string(a.keys[g.keyStart:g.keyEnd]) == string(key) && a.fits(g, raw) {
				a.points[g.last].next = n
				g.last = n
				g.size++
				return nil
			}
		}
		older = newest
	}
	g := group{keyStart: len(a.keys), first: n, last: n, older: older, size: 1}
	a.keys = append(a.keys, key...)
	g.keyEnd = len(a.keys)
	a.begin(&g, raw)
	a.index[hash] = int32(len(a.groups))
	a.groups = append(a.groups, g)
	return nil
}

// grow reserves what one more point may take.
func (a *Aggregator) grow(key int) error {
	need := 0
	if len(a.points) == cap(a.points) {
		need += 2 * pointBytes * max(len(a.points), 8)
	}
	if len(a.groups) == cap(a.groups) {
		need += 2 * (groupBytes + 64) * max(len(a.groups), 8)
	}
	if len(a.keys)+key > cap(a.keys) {
		need += 2 * (len(a.keys) + key)
	}
	return a.reserve(need)
}

// growKey reserves what the key of a point of n bytes may take, unless that is little: an
// attribute takes two bytes at least.
func (a *Aggregator) growKey(n int) error {
	if n <= keptBytes/entryBytes || n/2 <= cap(a.key.entries) {
		return nil
	}
	return a.reserve(n * entryBytes)
}

// reserve counts working memory.
func (a *Aggregator) reserve(n int) error {
	before := a.held
	a.held += n
	if a.held <= keptBytes || n == 0 || a.mem == nil {
		return nil
	}
	if before <= keptBytes {
		n = a.held
	}
	return a.mem.Reserve(n)
}

// Groups returns how many points the result has.
func (a *Aggregator) Groups() int { return len(a.groups) }

// Size returns how many bytes AppendTo appends at most.
func (a *Aggregator) Size() (n int) {
	for i := range a.points {
		n += len(a.points[i].raw) + 64
	}
	if a.data == otlpfield.MetricExponentialHistogram {
		for i := range a.groups {
			for j := range a.groups[i].low {
				n += 10 * int(a.groups[i].high[j]-a.groups[i].low[j])
			}
		}
	}
	return n
}

// AppendTo appends the merged points, each as field data_points.
func (a *Aggregator) AppendTo(enc *wire.Encoder, f Function) error {
	for i := range a.groups {
		g := &a.groups[i]
		first := a.points[g.first].raw
		if g.size == 1 && (f != Count || !a.isNumber()) {
			enc.Bytes(otlpfield.GaugeDataPoints, first)
			continue
		}
		mark := enc.Open(otlpfield.GaugeDataPoints)
		var err error
		switch a.data {
		case otlpfield.MetricHistogram:
			err = a.appendHistogram(enc, g)
		case otlpfield.MetricExponentialHistogram:
			err = a.appendExponential(enc, g)
		default:
			err = a.appendNumber(enc, g, f)
		}
		enc.Close(mark)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Aggregator) isNumber() bool {
	return a.data == otlpfield.MetricGauge || a.data == otlpfield.MetricSum
}

// rest iterates over the points of a group behind the first.
func (a *Aggregator) rest(g *group) func(yield func(raw []byte) bool) {
	return func(yield func(raw []byte) bool) {
		for i := a.points[g.first].next; i >= 0; i = a.points[i].next {
			if !yield(a.points[i].raw) {
				return
			}
		}
	}
}

// appendOthers appends the fields of raw except those in the set of field numbers.
func appendOthers(enc *wire.Encoder, raw []byte, except uint32) {
	copied := 0
	for c := (wire.Cursor{Buf: raw}); c.Next(); {
		if c.Num < 32 && except>>c.Num&1 != 0 {
			enc.Raw(raw[copied:c.Start])
			copied = c.End
		}
	}
	enc.Raw(raw[copied:])
}
