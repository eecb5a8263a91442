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
	var edit *pointEdit
	if a.Has(1) {
		edit = &pointEdit{keep: true, values: keys}
	}
	return func(e *ottl.Env) error {
		if e.MetricData() == otlpfield.MetricSummary {
			return errors.New("summaries are not supported")
		}
		return aggregated(e, f, edit)
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
	edit := &pointEdit{key: key, values: values, now: now}
	return func(e *ottl.Env) error {
		if e.MetricData() == otlpfield.MetricSummary {
			return errors.New("summaries are not supported")
		}
		return aggregated(e, f, edit)
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

// pointEdit is what is done to the data points before they are merged: to keep the
// attributes with some keys, or to replace values of one attribute.
type pointEdit struct {
	keep   bool
	key    string
	values []string // with keep: the keys
	now    string
}

// append appends a data point as the edit leaves it.
func (p *pointEdit) append(enc *wire.Encoder, data uint32, point []byte) {
	if p.keep {
		aggregate.AppendKept(enc, data, point, p.values)
		return
	}
	aggregate.AppendReplaced(enc, data, point, p.key, p.values, p.now)
}

// aggregated merges the data points of the metric after an edit of them, nil for none.
func aggregated(e *ottl.Env, f aggregate.Function, edit *pointEdit) error {
	metric, data := e.Item(), e.MetricData()
	from := dataOf(metric)
	if countPoints(from) == 0 {
		return nil
	}
	if edit != nil {
		enc, ok := encoder(e, len(from)+countPoints(from)*(len(edit.now)+24))
		if !ok {
			return nil
		}
		aggregate.AppendPoints(&enc, from, func(p []byte) { edit.append(&enc, data, p) })
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
