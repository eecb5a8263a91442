package ottl

import (
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// shape is what the editing of a message needs to know of its type.
type shape struct {
	name       string // as a context
	attributes uint32 // field of the attributes; 0: none, or references
	messages   uint32 // bits of the fields that are messages and not repeated
	variant    int    // of data points: which of the numbers of a field counts
}

func (s *shape) isMessage(num uint32) bool { return s.messages>>num&1 != 0 }

func fields(nums ...uint32) (bits uint32) {
	for _, n := range nums {
		bits |= 1 << n
	}
	return bits
}

// The variants of data points.
const (
	numberPoint = iota
	histogramPoint
	exponentialPoint
	summaryPoint
	variants
)

var (
	resourceShape = shape{name: "resource", attributes: otlpfield.ResourceAttributes}
	scopeShape    = shape{name: "scope", attributes: otlpfield.InstrumentationScopeAttributes}
	spanShape     = shape{name: "span", attributes: otlpfield.SpanAttributes, messages: fields(otlpfield.SpanStatus)}
	eventShape    = shape{name: "spanevent", attributes: otlpfield.SpanEventAttributes}
	metricShape   = shape{name: "metric", attributes: otlpfield.MetricMetadata, messages: fields(otlpfield.MetricGauge,
		otlpfield.MetricSum, otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram, otlpfield.MetricSummary)}
	logShape     = shape{name: "log", attributes: otlpfield.LogRecordAttributes, messages: fields(otlpfield.LogRecordBody)}
	profileShape = shape{name: "profile", messages: fields(otlpfield.ProfileSampleType, otlpfield.ProfilePeriodType)}
	sampleShape  = shape{name: "profilesample"}

	pointShapes = [variants]shape{
		numberPoint:    {name: "datapoint", attributes: otlpfield.NumberDataPointAttributes, variant: numberPoint},
		histogramPoint: {name: "datapoint", attributes: otlpfield.HistogramDataPointAttributes, variant: histogramPoint},
		exponentialPoint: {name: "datapoint", attributes: otlpfield.ExponentialHistogramDataPointAttributes, variant: exponentialPoint,
			messages: fields(otlpfield.ExponentialHistogramDataPointPositive, otlpfield.ExponentialHistogramDataPointNegative)},
		summaryPoint: {name: "datapoint", attributes: otlpfield.SummaryDataPointAttributes, variant: summaryPoint},
	}
)

// shapes are the messages at the levels of a signal.
var shapes = map[otlp.Signal][levels]*shape{
	otlp.Traces:   {&resourceShape, &scopeShape, &spanShape, &eventShape},
	otlp.Metrics:  {&resourceShape, &scopeShape, &metricShape, &pointShapes[numberPoint]},
	otlp.Logs:     {&resourceShape, &scopeShape, &logShape, nil},
	otlp.Profiles: {&resourceShape, &scopeShape, &profileShape, &sampleShape},
}

func shapeOf(s otlp.Signal, level int) *shape { return shapes[s][level] }
