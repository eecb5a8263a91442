package otlp

import "iter"

// Numbers iterates over the data points of a gauge or sum, each with its value as a
// float64; an integer is converted. Metrics of other types, and points without a
// value, are left out.
func (m Metric) Numbers() iter.Seq2[NumberDataPoint, float64] {
	return func(yield func(NumberDataPoint, float64) bool) {
		points := List[NumberDataPoint]{}
		if gauge, ok := m.Gauge(); ok {
			points = gauge.DataPoints()
		} else if sum, ok := m.Sum(); ok {
			points = sum.DataPoints()
		}
		for p := range points.All() {
			v, ok := p.AsDouble()
			if n, isInt := p.AsInt(); isInt {
				v, ok = float64(n), true
			}
			if ok && !yield(p, v) {
				return
			}
		}
	}
}
