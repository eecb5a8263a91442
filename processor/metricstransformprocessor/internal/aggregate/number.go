package aggregate

import (
	"math"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// numberOf returns the value of a number: the last of the two that it may have.
func numberOf(point []byte) (bits uint64, double, ok bool) {
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		switch {
		case c.Type != wire.TypeFixed64:
		case c.Num == otlpfield.NumberDataPointAsDouble:
			bits, double, ok = c.Scalar, true, true
		case c.Num == otlpfield.NumberDataPointAsInt:
			bits, double, ok = c.Scalar, false, true
		}
	}
	return bits, double, ok
}

// joinNumbers joins numbers. The type of the first one is that of the result;
// a value that is the other one is converted.
func joinNumbers(f Func, points [][]byte, mem Memory) ([]byte, error) {
	_, double, ok := numberOf(points[0])
	if !ok {
		return points[0], nil
	}
	if err := mem.Reserve(8 * len(points)); err != nil {
		return nil, err
	}
	e, err := without(points[0], 3*16, mem, otlpfield.NumberDataPointStartTimeUnixNano, otlpfield.NumberDataPointAsDouble, otlpfield.NumberDataPointAsInt)
	if err != nil {
		return nil, err
	}
	setFixed(&e, otlpfield.NumberDataPointStartTimeUnixNano, earliest(points))
	if double {
		e.Double(otlpfield.NumberDataPointAsDouble, joinValues(f, values(points, func(bits uint64, double bool) float64 {
			if double {
				return math.Float64frombits(bits)
			}
			return float64(int64(bits))
		})))
		return e.Buf, nil
	}
	e.Fixed64(otlpfield.NumberDataPointAsInt, uint64(joinValues(f, values(points, func(bits uint64, double bool) int64 {
		if double {
			return int64(math.Float64frombits(bits))
		}
		return int64(bits)
	}))))
	return e.Buf, nil
}

// values returns the values of points; 0 for those without one.
func values[T int64 | float64](points [][]byte, convert func(bits uint64, double bool) T) []T {
	all := make([]T, 0, len(points))
	for _, p := range points {
		bits, double, _ := numberOf(p)
		all = append(all, convert(bits, double))
	}
	return all
}

// joinValues returns what f makes of at least two values.
func joinValues[T int64 | float64](f Func, all []T) T {
	switch f {
	case Count:
		return T(len(all))
	case Median:
		slices.Sort(all)
		middle := len(all) / 2
		if len(all)%2 != 0 {
			return all[middle]
		}
		return (all[middle-1] + all[middle]) / 2
	}
	v := all[0]
	for _, other := range all[1:] {
		switch f {
		case Sum, Mean:
			v += other
		case Min:
			v = min(v, other)
		case Max:
			v = max(v, other)
		}
	}
	if f == Mean {
		v /= T(len(all))
	}
	return v
}
