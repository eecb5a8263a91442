// Package probabilisticsamplerprocessor is the Collector's `probabilistic_sampler`: it
// passes a share of the spans or log records on, and drops the others. Spans of one
// trace are all passed on or all dropped, in all processes with the same settings.
//
//	processors:
//	  probabilistic_sampler:
//	    sampling_percentage: 15
//
// An item has a randomness of 56 bits, and is passed on if that is not less than a
// threshold (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling).
// Where both come from depends on the mode:
//
//	mode           randomness                                    threshold
//	hash_seed      a hash of the trace id, or of an attribute    of the percentage
//	equalizing     ot=rv in the tracestate, or the trace id      of the percentage, or ot=th if that is higher
//	proportional   ot=rv in the tracestate, or the trace id      of the percentage multiplied with that of ot=th
//
// The threshold, and with hash_seed the randomness, is written to what is passed on: to
// the tracestate of spans, and to the attributes sampling.threshold and
// sampling.randomness of log records.
package probabilisticsamplerprocessor
