package funcs

import (
	"errors"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/processor/internal/aggregate"
)

// aggregators are used again: those of different goroutines.
var aggregators = sync.Pool{New: func() any { return &aggregate.Aggregator{} }}

var aggregateOnAttributes = ottl.Function{Name: "aggregate_on_attributes", In: ofMetric, Counts: true, Params: ottl.P("aggregation_function", "attributes?"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	f, err := aggregation(a)
	if err != nil {
		return nil, err
	}
	keys, err := a.LiteralStrings(1)
	if err != nil {
		return nil, err
	}
	var edit pointEdit
	if a.Has(1) {
		edit = func(enc *wire.Encoder, data uint32, p []byte) { aggregate.AppendKept(enc, data, p, keys) }
	}
	return func(e *ottl.Env) error {
		if e.MetricData() == otlpfield.MetricSummary {
			return errors.New("summaries are not supported")
		}
		return aggregated(e, f, edit, 0)
	}, nil
}}

var aggregateOnAttributeValue = ottl.Function{Name: "aggregate_on_attribute_value", In: ofMetric, Counts: true, Params: ottl.P("aggregation_function", "attribute", "values", "new_value"), Edit: func(a *ottl.Args) (func(*ottl.Env) error, error) {
	f, err := aggregation(a)
	if err != nil {
		return nil, err
	}
	key, errKey := a.LiteralString(1, "")
	values, errValues := a.LiteralStrings(2)
	now, errNow := a.LiteralString(3, "")
	if err := errors.Join(errKey, errValues, errNow); err != nil {
		return nil, err
	}
	edit := func(enc *wire.Encoder, data uint32, p []byte) {
		aggregate.AppendReplaced(enc, data, p, key, values, now)
	}
	return func(e *ottl.Env) error {
		if e.MetricData() == otlpfield.MetricSummary {
			return errors.New("summaries are not supported")
		}
		return aggregated(e, f, edit, len(now)+16)
	}, nil
}}

// aggregation returns the function that argument 0 names.
func aggregation(a *ottl.Args) (aggregate.Function, error) {
	name, err := a.LiteralString(0, "")
	if err != nil {
		return 0, err
	}
	f, err := aggregate.ParseFunction(name)
	if err != nil {
		return 0, a.Errorf(0, "%w", err)
	}
	return f, nil
}

// pointEdit appends a data point as it is before it is merged with others.
type pointEdit func(enc *wire.Encoder, data uint32, point []byte)

// aggregated merges the data points of the metric. edit, if not nil, makes a point at most
// room bytes longer.
func aggregated(e *ottl.Env, f aggregate.Function, edit pointEdit, room int) error {
	metric, data := e.Item(), e.MetricData()
	from := dataOf(metric)
	if countPoints(from) == 0 {
		return nil
	}
	if edit != nil {
		enc, ok := encoder(e, len(from)+countPoints(from)*(room+8))
		if !ok {
			return nil
		}
		aggregate.AppendPoints(&enc, from, func(p []byte) { edit(&enc, data, p) })
		from = enc.Buf
	}
	a := aggregators.Get().(*aggregate.Aggregator)
	defer func() {
		a.End()
		aggregators.Put(a)
	}()
	a.Begin(data, byStart(data, from), e)
	for p := range points(from) {
		if err := a.Add(p); err != nil {
			return err
		}
	}
	enc, ok := encoder(e, len(metric)+a.Size()+32)
	if !ok {
		return nil
	}
	appendExcept(&enc, metric, dataFields)
	mark := enc.Open(data)
	appendExcept(&enc, from, fields(otlpfield.GaugeDataPoints))
	if err := a.AppendTo(&enc, f); err != nil {
		return err
	}
	enc.Close(mark)
	e.SetItem(enc.Buf)
	return nil
}

// byStart reports whether points with different start times are not merged.
func byStart(data uint32, fields []byte) bool {
	return data != otlpfield.MetricGauge && otlp.Sum(fields).AggregationTemporality() == otlp.AggregationTemporalityDelta // all have it in one field
}
