package aggregate

import (
	"encoding/binary"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// maxBuckets is the largest number of buckets of an exponential histogram that joining
// makes. Offsets are 32 bits, so that two small histograms may be far apart.
const maxBuckets = 1 << 14

func appendHistogramKey(k, point []byte) []byte {
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num == otlpfield.HistogramDataPointExplicitBounds {
			k = appendFixed(k, &c)
		}
	}
	k = append(k, 'b', has(point, otlpfield.HistogramDataPointMin), has(point, otlpfield.HistogramDataPointMax))
	return binary.AppendUvarint(k, varint(point, otlpfield.HistogramDataPointFlags))
}

// appendFixed appends the numbers of 8 bytes of a field, packed or one.
func appendFixed(k []byte, c *wire.Cursor) []byte {
	if c.Type == wire.TypeBytes {
		return append(k, c.Bytes...)
	}
	return binary.LittleEndian.AppendUint64(k, c.Scalar)
}

func appendExponentialKey(k, point []byte) []byte {
	k = binary.AppendUvarint(k, varint(point, otlpfield.ExponentialHistogramDataPointScale))
	k = append(k, has(point, otlpfield.ExponentialHistogramDataPointMin), has(point, otlpfield.ExponentialHistogramDataPointMax))
	return binary.AppendUvarint(k, varint(point, otlpfield.ExponentialHistogramDataPointFlags))
}

// summary is what both kinds of histograms have.
type summary struct {
	count         uint64
	sum, min, max float64
	hasMin        bool
	hasMax        bool
	hasSum        bool
}

// fields are the numbers of the fields of a kind of histogram.
type fields struct{ count, sum, min, max, exemplars uint32 }

var (
	explicit = fields{otlpfield.HistogramDataPointCount, otlpfield.HistogramDataPointSum, otlpfield.HistogramDataPointMin,
		otlpfield.HistogramDataPointMax, otlpfield.HistogramDataPointExemplars}
	exponential = fields{otlpfield.ExponentialHistogramDataPointCount, otlpfield.ExponentialHistogramDataPointSum, otlpfield.ExponentialHistogramDataPointMin,
		otlpfield.ExponentialHistogramDataPointMax, otlpfield.ExponentialHistogramDataPointExemplars}
)

func (f fields) read(point []byte) summary {
	get := func(num uint32) float64 { return math.Float64frombits(fixed(point, num)) }
	return summary{fixed(point, f.count), get(f.sum), get(f.min), get(f.max),
		has(point, f.min) == 1, has(point, f.max) == 1, has(point, f.sum) == 1}
}

// add adds another histogram, which is not empty.
func (s *summary) add(other summary) {
	s.count += other.count
	s.sum += other.sum
	s.hasSum = true
	if s.hasMin {
		s.min = lower(s.min, other.min)
	}
	if s.hasMax {
		s.max = -lower(-s.max, -other.max)
	}
}

func (f fields) write(e *wire.Encoder, s summary) {
	setFixed(e, f.count, s.count)
	for _, v := range []struct {
		num uint32
		v   float64
		has bool
	}{{f.sum, s.sum, s.hasSum}, {f.min, s.min, s.hasMin}, {f.max, s.max, s.hasMax}} {
		if v.has {
			e.Double(v.num, v.v)
		}
	}
}

// exemplars writes those of points.
func (f fields) writeExemplars(e *wire.Encoder, points [][]byte) {
	for _, p := range points {
		for c := (wire.Cursor{Buf: p}); c.Next(); {
			if c.Num == f.exemplars && c.Type == wire.TypeBytes {
				e.Raw(p[c.Start:c.End])
			}
		}
	}
}

// notEmpty returns the points that are counted in the result: the first, and those that are
// not empty.
func (f fields) notEmpty(points [][]byte) [][]byte {
	kept := points[:1:1]
	for _, p := range points[1:] {
		if fixed(p, f.count) != 0 {
			kept = append(kept, p)
		}
	}
	return kept
}

func size(points [][]byte) (n int) {
	for _, p := range points {
		n += len(p)
	}
	return n
}

// joinHistograms adds histograms with the same bounds.
func joinHistograms(points [][]byte, mem Memory) ([]byte, error) {
	points = explicit.notEmpty(points)
	all := size(points)
	if err := mem.Reserve(2 * all); err != nil {
		return nil, err
	}
	total, counts := explicit.read(points[0]), fixedList(points[0], otlpfield.HistogramDataPointBucketCounts)
	for _, p := range points[1:] {
		total.add(explicit.read(p))
		for i, n := range fixedList(p, otlpfield.HistogramDataPointBucketCounts) {
			if i == len(counts) {
				counts = append(counts, 0)
			}
			counts[i] += n
		}
	}
	e, err := without(points[0], all+8*len(counts)+8*16, mem, otlpfield.HistogramDataPointStartTimeUnixNano, explicit.count, explicit.sum, explicit.min, explicit.max,
		otlpfield.HistogramDataPointBucketCounts)
	if err != nil {
		return nil, err
	}
	setFixed(&e, otlpfield.HistogramDataPointStartTimeUnixNano, earliest(points))
	explicit.write(&e, total)
	if len(counts) > 0 {
		mark := e.Open(otlpfield.HistogramDataPointBucketCounts)
		for _, n := range counts {
			e.Buf = binary.LittleEndian.AppendUint64(e.Buf, n)
		}
		e.Close(mark)
	}
	explicit.writeExemplars(&e, points[1:])
	return e.Buf, nil
}

// fixedList returns numbers of 8 bytes, packed or not.
func fixedList(m []byte, num uint32) (all []uint64) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		switch {
		case c.Num != num:
		case c.Type == wire.TypeBytes:
			for b := c.Bytes; len(b) >= 8; b = b[8:] {
				all = append(all, binary.LittleEndian.Uint64(b))
			}
		default:
			all = append(all, c.Scalar)
		}
	}
	return all
}

// buckets are consecutive buckets of an exponential histogram.
type buckets struct {
	offset int32
	counts []uint64
}

func zigzag(v uint64) int32 { return int32(uint32(v)>>1) ^ -int32(v&1) }

func unzigzag(v int32) uint64 { return uint64(uint32(v<<1) ^ uint32(v>>31)) }

func readBuckets(m []byte) buckets {
	b := buckets{offset: zigzag(varint(m, otlpfield.ExponentialHistogramDataPointBucketsOffset))}
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		switch {
		case c.Num != otlpfield.ExponentialHistogramDataPointBucketsBucketCounts:
		case c.Type == wire.TypeBytes:
			for p := c.Bytes; len(p) > 0; {
				v, n := binary.Uvarint(p)
				if n <= 0 {
					break
				}
				b.counts, p = append(b.counts, v), p[n:]
			}
		default:
			b.counts = append(b.counts, c.Scalar)
		}
	}
	return b
}

// trimmed returns the buckets without empty ones at both ends.
func (b buckets) trimmed() buckets {
	first, end := 0, len(b.counts)
	for end > 0 && b.counts[end-1] == 0 {
		end--
	}
	for first < end && b.counts[first] == 0 {
		first++
	}
	if first == end {
		return buckets{}
	}
	return buckets{b.offset + int32(first), b.counts[first:end]}
}

// fits reports whether two sets of buckets together are not too many.
func (b buckets) fits(other buckets) bool {
	b, other = b.trimmed(), other.trimmed()
	if len(b.counts) == 0 || len(other.counts) == 0 {
		return true
	}
	begin := min(int64(b.offset), int64(other.offset))
	end := max(int64(b.offset)+int64(len(b.counts)), int64(other.offset)+int64(len(other.counts)))
	return end-begin <= maxBuckets
}

// add adds other buckets of the same scale, which fit.
func (b *buckets) add(other buckets) {
	if len(b.counts) == len(other.counts) && b.offset == other.offset {
		for i, n := range other.counts {
			b.counts[i] += n
		}
		return
	}
	x, y := b.trimmed(), other.trimmed()
	switch {
	case len(y.counts) == 0:
		return
	case len(x.counts) == 0:
		*b = y
		return
	}
	begin := min(x.offset, y.offset)
	end := max(int(x.offset)+len(x.counts), int(y.offset)+len(y.counts))
	sum := buckets{begin, make([]uint64, end-int(begin))}
	for _, part := range []buckets{x, y} {
		for i, n := range part.counts {
			sum.counts[int(part.offset)-int(begin)+i] += n
		}
	}
	*b = sum
}

func (b buckets) write(e *wire.Encoder, num uint32) {
	mark := e.Open(num)
	if b.offset != 0 {
		e.Varint(otlpfield.ExponentialHistogramDataPointBucketsOffset, unzigzag(b.offset))
	}
	if len(b.counts) > 0 {
		list := e.Open(otlpfield.ExponentialHistogramDataPointBucketsBucketCounts)
		for _, n := range b.counts {
			e.Buf = binary.AppendUvarint(e.Buf, n)
		}
		e.Close(list)
	}
	e.Close(mark)
}

// exponentialPoint is an exponential histogram.
type exponentialPoint struct {
	summary
	zero               uint64
	positive, negative buckets
}

func readExponential(p []byte) exponentialPoint {
	return exponentialPoint{
		exponential.read(p), fixed(p, otlpfield.ExponentialHistogramDataPointZeroCount),
		readBuckets(wire.Merged(p, otlpfield.ExponentialHistogramDataPointPositive)),
		readBuckets(wire.Merged(p, otlpfield.ExponentialHistogramDataPointNegative)),
	}
}

// joinExponential adds exponential histograms of the same scale. Those whose buckets are too
// far from the others are returned apart.
func joinExponential(points [][]byte, mem Memory) (joined []byte, apart [][]byte, err error) {
	points = exponential.notEmpty(points)
	all := size(points)
	if err := mem.Reserve(16*all + 2*8*maxBuckets); err != nil {
		return nil, nil, err
	}
	total, added := readExponential(points[0]), points[:1:1]
	for _, p := range points[1:] {
		other := readExponential(p)
		if !total.positive.fits(other.positive) || !total.negative.fits(other.negative) {
			apart = append(apart, p)
			continue
		}
		added = append(added, p)
		total.add(other.summary)
		total.zero += other.zero
		total.positive.add(other.positive)
		total.negative.add(other.negative)
	}
	more := all + (len(total.positive.counts)+len(total.negative.counts))*binary.MaxVarintLen64 + 12*16
	e, err := without(points[0], more, mem, otlpfield.ExponentialHistogramDataPointStartTimeUnixNano, exponential.count, exponential.sum, exponential.min, exponential.max,
		otlpfield.ExponentialHistogramDataPointZeroCount, otlpfield.ExponentialHistogramDataPointPositive, otlpfield.ExponentialHistogramDataPointNegative)
	if err != nil {
		return nil, nil, err
	}
	setFixed(&e, otlpfield.ExponentialHistogramDataPointStartTimeUnixNano, earliest(added))
	exponential.write(&e, total.summary)
	setFixed(&e, otlpfield.ExponentialHistogramDataPointZeroCount, total.zero)
	total.positive.write(&e, otlpfield.ExponentialHistogramDataPointPositive)
	total.negative.write(&e, otlpfield.ExponentialHistogramDataPointNegative)
	exponential.writeExemplars(&e, added[1:])
	return e.Buf, apart, nil
}
