package metricstransformprocessor

import (
	"encoding/binary"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/processor/metricstransformprocessor/internal/aggregate"
)

// toggled returns a number with the other type: an int as a double, a double as an int.
func toggled(p []byte, mem aggregate.Memory) ([]byte, error) {
	return fields(p, mem, func(e *wire.Encoder, c *wire.Cursor) bool {
		switch {
		case c.Type != wire.TypeFixed64:
			return false
		case c.Num == otlpfield.NumberDataPointAsInt:
			e.Double(otlpfield.NumberDataPointAsDouble, float64(int64(c.Scalar)))
		case c.Num == otlpfield.NumberDataPointAsDouble:
			e.Fixed64(otlpfield.NumberDataPointAsInt, uint64(int64(c.Double())))
		default:
			return false
		}
		return true
	})
}

// fields returns a message in which edit has replaced fields: it writes what stands for a
// field, of the same size at most, and returns true.
func fields(m []byte, mem aggregate.Memory, edit func(e *wire.Encoder, c *wire.Cursor) bool) ([]byte, error) {
	size := len(m) + 4*headBytes
	if err := mem.Reserve(size); err != nil {
		return nil, err
	}
	e := wire.Encoder{Buf: make([]byte, 0, size)}
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if !edit(&e, &c) {
			e.Raw(m[c.Start:c.End])
		}
	}
	return e.Buf, nil
}

// scalers multiply the values of a data point, by the field of Metric that has the points.
var scalers = map[uint32]func(p []byte, scale float64, mem aggregate.Memory) ([]byte, error){
	otlpfield.MetricGauge:                scaledNumber,
	otlpfield.MetricSum:                  scaledNumber,
	otlpfield.MetricHistogram:            scaledHistogram,
	otlpfield.MetricExponentialHistogram: scaledExponential,
}

func scaledInt(v uint64, scale float64) uint64 { return uint64(int64(float64(int64(v)) * scale)) }

func scaledNumber(p []byte, scale float64, mem aggregate.Memory) ([]byte, error) {
	return fields(p, mem, func(e *wire.Encoder, c *wire.Cursor) bool {
		switch {
		case c.Type != wire.TypeFixed64:
			return false
		case c.Num == otlpfield.NumberDataPointAsInt:
			e.Fixed64(c.Num, scaledInt(c.Scalar, scale))
		case c.Num == otlpfield.NumberDataPointAsDouble:
			e.Double(c.Num, c.Double()*scale)
		default:
			return false
		}
		return true
	})
}

func scaledHistogram(p []byte, scale float64, mem aggregate.Memory) ([]byte, error) {
	return fields(p, mem, func(e *wire.Encoder, c *wire.Cursor) bool {
		switch c.Num {
		case otlpfield.HistogramDataPointSum, otlpfield.HistogramDataPointMin, otlpfield.HistogramDataPointMax:
			e.Double(c.Num, c.Double()*scale)
		case otlpfield.HistogramDataPointExplicitBounds:
			scaleDoubles(e, c, scale)
		case otlpfield.HistogramDataPointExemplars:
			scaleExemplar(e, c, scale)
		default:
			return false
		}
		return true
	})
}

// scaleDoubles writes a field of doubles, packed or one.
func scaleDoubles(e *wire.Encoder, c *wire.Cursor, scale float64) {
	if c.Type != wire.TypeBytes {
		e.Double(c.Num, c.Double()*scale)
		return
	}
	mark := e.Open(c.Num)
	for b := c.Bytes; len(b) >= 8; b = b[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(b)) * scale
		e.Buf = binary.LittleEndian.AppendUint64(e.Buf, math.Float64bits(v))
	}
	e.Close(mark)
}

func scaleExemplar(e *wire.Encoder, c *wire.Cursor, scale float64) {
	mark := e.Open(c.Num)
	for x := (wire.Cursor{Buf: c.Bytes}); x.Next(); {
		switch {
		case x.Type == wire.TypeFixed64 && x.Num == otlpfield.ExemplarAsInt:
			e.Fixed64(x.Num, scaledInt(x.Scalar, scale))
		case x.Type == wire.TypeFixed64 && x.Num == otlpfield.ExemplarAsDouble:
			e.Double(x.Num, x.Double()*scale)
		default:
			e.Raw(c.Bytes[x.Start:x.End])
		}
	}
	e.Close(mark)
}

// scaledExponential moves the buckets: their offsets are the logarithms of what they count.
func scaledExponential(p []byte, scale float64, mem aggregate.Memory) ([]byte, error) {
	v, _ := wire.LastScalar(p, otlpfield.ExponentialHistogramDataPointScale, wire.TypeVarint)
	resolution := unzigzag(v)
	written := map[uint32]bool{} // buckets may come in several parts
	return fields(p, mem, func(e *wire.Encoder, c *wire.Cursor) bool {
		switch c.Num {
		case otlpfield.ExponentialHistogramDataPointSum, otlpfield.ExponentialHistogramDataPointMin, otlpfield.ExponentialHistogramDataPointMax,
			otlpfield.ExponentialHistogramDataPointZeroThreshold:
			e.Double(c.Num, c.Double()*scale)
		case otlpfield.ExponentialHistogramDataPointPositive, otlpfield.ExponentialHistogramDataPointNegative:
			if !written[c.Num] {
				written[c.Num] = true
				moveBuckets(e, c.Num, wire.Merged(p, c.Num), resolution, scale)
			}
		case otlpfield.ExponentialHistogramDataPointExemplars:
			scaleExemplar(e, c, scale)
		default:
			return false
		}
		return true
	})
}

func unzigzag(v uint64) int32 { return int32(uint32(v)>>1) ^ -int32(v&1) }

func zigzag(v int32) uint64 { return uint64(uint32(v<<1) ^ uint32(v>>31)) }

// moveBuckets writes buckets in field num. Without counts they stay where they are.
func moveBuckets(e *wire.Encoder, num uint32, buckets []byte, resolution int32, scale float64) {
	counts := false
	for b := (wire.Cursor{Buf: buckets}); b.Next(); {
		counts = counts || b.Num == otlpfield.ExponentialHistogramDataPointBucketsBucketCounts && (b.Type != wire.TypeBytes || len(b.Bytes) > 0)
	}
	if !counts {
		e.Bytes(num, buckets)
		return
	}
	v, _ := wire.LastScalar(buckets, otlpfield.ExponentialHistogramDataPointBucketsOffset, wire.TypeVarint)
	mark := e.Open(num)
	for b := (wire.Cursor{Buf: buckets}); b.Next(); {
		if b.Num != otlpfield.ExponentialHistogramDataPointBucketsOffset {
			e.Raw(buckets[b.Start:b.End])
		}
	}
	e.Varint(otlpfield.ExponentialHistogramDataPointBucketsOffset, zigzag(movedOffset(resolution, unzigzag(v), scale)))
	e.Close(mark)
}

// movedOffset returns the index of the bucket that counts the middle of the bucket offset,
// scaled.
func movedOffset(resolution, offset int32, scale float64) int32 {
	base := math.Pow(2, math.Pow(2, float64(-resolution)))
	middle := (math.Pow(base, float64(offset)) + math.Pow(base, float64(offset+1))) / 2
	factor := math.Ldexp(math.Log2E, int(resolution))
	return int32(math.Ceil(math.Log(middle*scale)*factor) - 1)
}
