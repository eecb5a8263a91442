package funcs

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
)

var scaleMetric = ottl.Function{Name: "scale_metric", In: ofMetric, Params: ottl.P("multiplier", "unit?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	factor, err := a.LiteralDouble(0, 0)
	if err != nil {
		return nil, err
	}
	var unit ottl.Getter
	if a.Has(1) {
		if unit, err = a.String(1); err != nil {
			return nil, err
		}
	}
	return func(e *ottl.Env) error {
		var now []byte
		if unit != nil {
			v, err := unit(e)
			if err != nil {
				return err
			}
			now = v.Bytes()
		}
		switch e.MetricData() {
		case 0:
			return errors.New("the metric has no data")
		case otlpfield.MetricExponentialHistogram:
			return errors.New("exponential histograms are not supported")
		}
		return scaled(e, factor, unit != nil, now)
	}, nil
}}

// scaled multiplies the numbers of the metric, and sets its unit if asked.
func scaled(e *ottl.Env, factor float64, setUnit bool, unit []byte) error {
	metric := e.Item()
	enc, ok := encoder(e, len(metric)+len(unit)+16)
	if !ok {
		return nil
	}
	if setUnit {
		appendExcept(&enc, metric, fields(otlpfield.MetricUnit))
	} else {
		enc.Raw(metric)
	}
	scaleData(enc.Buf, factor)
	if len(unit) > 0 {
		enc.Bytes(otlpfield.MetricUnit, unit)
	}
	e.SetItem(enc.Buf)
	return nil
}

// scaleData multiplies the numbers in a metric in place: all of them have 8 bytes.
func scaleData(metric []byte, factor float64) {
	for c := (wire.Cursor{Buf: metric}); c.Next(); {
		if c.Num >= 32 || dataFields>>c.Num&1 == 0 || c.Type != wire.TypeBytes {
			continue
		}
		for p := range points(c.Bytes) {
			switch c.Num {
			case otlpfield.MetricHistogram:
				scaleHistogram(p, factor)
			case otlpfield.MetricSummary:
				scaleSummary(p, factor)
			case otlpfield.MetricGauge, otlpfield.MetricSum:
				scaleFields(p, factor, fields(otlpfield.NumberDataPointAsDouble), otlpfield.NumberDataPointAsInt)
			}
		}
	}
}

func scaleHistogram(point []byte, factor float64) {
	scaleFields(point, factor, fields(otlpfield.HistogramDataPointSum, otlpfield.HistogramDataPointMin, otlpfield.HistogramDataPointMax, otlpfield.HistogramDataPointExplicitBounds), 0)
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		switch {
		case c.Type != wire.TypeBytes:
		case c.Num == otlpfield.HistogramDataPointExplicitBounds: // packed
			for b := c.Bytes; len(b) >= 8; b = b[8:] {
				scaleDouble(b, factor)
			}
		case c.Num == otlpfield.HistogramDataPointExemplars:
			scaleFields(c.Bytes, factor, fields(otlpfield.ExemplarAsDouble), otlpfield.ExemplarAsInt)
		}
	}
}

func scaleSummary(point []byte, factor float64) {
	scaleFields(point, factor, fields(otlpfield.SummaryDataPointSum), 0)
	for c := (wire.Cursor{Buf: point}); c.Next(); {
		if c.Num == otlpfield.SummaryDataPointQuantileValues && c.Type == wire.TypeBytes {
			scaleFields(c.Bytes, factor, fields(otlpfield.SummaryDataPointValueAtQuantileValue), 0)
		}
	}
}

// scaleFields multiplies the doubles in a set of fields of m, and the integer in another
// field, which is truncated. A field that occurs more than once is scaled each time: the
// last one counts.
func scaleFields(m []byte, factor float64, doubles uint32, integer uint32) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Type != wire.TypeFixed64 || c.Num >= 32 {
			continue
		}
		value := m[c.End-8 : c.End]
		switch {
		case doubles>>c.Num&1 != 0:
			scaleDouble(value, factor)
		case c.Num == integer:
			binary.LittleEndian.PutUint64(value, uint64(int64(float64(int64(c.Scalar))*factor)))
		}
	}
}

func scaleDouble(b []byte, factor float64) {
	v := math.Float64frombits(binary.LittleEndian.Uint64(b)) * factor
	binary.LittleEndian.PutUint64(b, math.Float64bits(v))
}
