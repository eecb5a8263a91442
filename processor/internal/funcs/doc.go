// Package funcs has the functions of OTTL that belong to the Collector's processor `transform`,
// beside those of package ottl/functions that all have.
//
// Metrics are rewritten as they are on the wire: what a function does not change is copied,
// with unknown fields.
package funcs

import "github.com/penstock-telemetry/penstock/ottl"

// Transform returns the functions of the processor transform.
func Transform() []ottl.Function {
	return []ottl.Function{
		convertSumToGauge, convertGaugeToSum, extractCountMetric, extractSumMetric, extractPercentileMetric, copyMetric, scaleMetric,
		aggregateOnAttributes, aggregateOnAttributeValue, convertExponential, convertSummaryQuantiles,
		convertSummaryCount, convertSummarySum, mergeHistogramBuckets,
		setSemconvSpanName,
		parseCLF, parseCEF, parseELF, parseLEEF,
	}
}
