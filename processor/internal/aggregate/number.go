package aggregate

import (
	"math"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

func doubleBits(f float64) uint64 { return math.Float64bits(f) }

const (
	valueFields = 1<<otlpfield.NumberDataPointAsDouble | 1<<otlpfield.NumberDataPointAsInt
	startField  = 1 << otlpfield.NumberDataPointStartTimeUnixNano
)

// appendNumber appends the merged NumberDataPoint of a group. The first point decides
// whether it is an integer; if that has no value, it stays as it is.
func (a *Aggregator) appendNumber(enc *wire.Encoder, g *group, f Function) error {
	raw := a.points[g.first].raw
	first := otlp.NumberDataPoint(raw)
	value := first.Value()
	if value.Num == 0 {
		enc.Raw(raw)
		return nil
	}
	var result otlp.Union
	var err error
	if value.Num == otlpfield.NumberDataPointAsInt {
		result.Scalar, err = a.mergeInts(g, int64(value.Scalar), f)
	} else {
		result.Scalar, err = a.mergeDoubles(g, math.Float64frombits(value.Scalar), f)
	}
	if err != nil {
		return err
	}
	a.appendStart(enc, g, raw, valueFields, first.StartTimeUnixNano(), func(p []byte) (uint64, bool) {
		return otlp.NumberDataPoint(p).StartTimeUnixNano(), true
	})
	enc.Fixed64(value.Num, result.Scalar)
	return nil
}

// appendStart appends the fields of the first point except for those that are merged, with
// the earliest start time of the group. start returns that of a point, and whether it counts.
func (a *Aggregator) appendStart(enc *wire.Encoder, g *group, raw []byte, merged uint32, first uint64, start func([]byte) (uint64, bool)) {
	earliest := first
	for p := range a.rest(g) {
		if t, ok := start(p); ok && t < earliest {
			earliest = t
		}
	}
	if earliest == first {
		appendOthers(enc, raw, merged)
		return
	}
	appendOthers(enc, raw, merged|startField)
	if earliest != 0 {
		enc.Fixed64(otlpfield.NumberDataPointStartTimeUnixNano, earliest)
	}
}

// double returns the value of a point, an integer converted, 0 for none.
func double(raw []byte) float64 {
	u := otlp.NumberDataPoint(raw).Value()
	if u.Num == otlpfield.NumberDataPointAsInt {
		return float64(int64(u.Scalar))
	}
	return math.Float64frombits(u.Scalar)
}

// integer returns the value of a point, a double converted, 0 for none.
func integer(raw []byte) int64 {
	u := otlp.NumberDataPoint(raw).Value()
	if u.Num == otlpfield.NumberDataPointAsDouble {
		return int64(math.Float64frombits(u.Scalar))
	}
	return int64(u.Scalar)
}

func (a *Aggregator) mergeDoubles(g *group, v float64, f Function) (bits uint64, err error) {
	a.doubles = a.doubles[:0]
	if f == Median {
		if err := a.reserve(8 * int(g.size)); err != nil {
			return 0, err
		}
		a.doubles = append(a.doubles, v)
	}
	for p := range a.rest(g) {
		w := double(p)
		switch f {
		case Sum, Mean:
			v += w
		case Min:
			v = math.Min(v, w)
		case Max:
			v = math.Max(v, w)
		case Median:
			a.doubles = append(a.doubles, w)
		}
	}
	switch f {
	case Mean:
		v /= float64(g.size)
	case Count:
		v = float64(g.size)
	case Median:
		slices.Sort(a.doubles)
		if v = a.doubles[g.size/2]; g.size%2 == 0 {
			v = (a.doubles[g.size/2-1] + v) / 2
		}
	}
	return math.Float64bits(v), nil
}

func (a *Aggregator) mergeInts(g *group, v int64, f Function) (bits uint64, err error) {
	a.ints = a.ints[:0]
	if f == Median {
		if err := a.reserve(8 * int(g.size)); err != nil {
			return 0, err
		}
		a.ints = append(a.ints, v)
	}
	for p := range a.rest(g) {
		w := integer(p)
		switch f {
		case Sum, Mean:
			v += w
		case Min:
			v = min(v, w)
		case Max:
			v = max(v, w)
		case Median:
			a.ints = append(a.ints, w)
		}
	}
	switch f {
	case Mean:
		v /= int64(g.size)
	case Count:
		v = int64(g.size)
	case Median:
		slices.Sort(a.ints)
		if v = a.ints[g.size/2]; g.size%2 == 0 {
			v = (a.ints[g.size/2-1] + v) / 2
		}
	}
	return uint64(v), nil
}
