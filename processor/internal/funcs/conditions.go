package funcs

import (
	"errors"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl"
	"github.com/penstock-telemetry/penstock/processor/internal/aggregate"
)

var ofSpan = []string{"span"}

var isRootSpan = ottl.Function{Name: "IsRootSpan", In: ofSpan, Test: func(*ottl.Args) (func(*ottl.Env) (bool, error), error) {
	return func(e *ottl.Env) (bool, error) {
		for _, b := range otlp.Span(e.Item()).ParentSpanID() {
			if b != 0 {
				return false, nil
			}
		}
		return true, nil
	}, nil
}}

var hasAttrKeyOnDatapoint = ottl.Function{Name: "HasAttrKeyOnDatapoint", In: ofMetric, Params: ottl.P("key"), Test: func(a *ottl.Args) (func(*ottl.Env) (bool, error), error) {
	key, err := a.LiteralString(0, "")
	if err != nil {
		return nil, err
	}
	return func(e *ottl.Env) (bool, error) {
		_, found, err := pointAttribute(e, key)
		return found, err
	}, nil
}}

var hasAttrOnDatapoint = ottl.Function{Name: "HasAttrOnDatapoint", In: ofMetric, Params: ottl.P("key", "expected_val"), Test: func(a *ottl.Args) (func(*ottl.Env) (bool, error), error) {
	key, errKey := a.LiteralString(0, "")
	want, errWant := a.LiteralString(1, "")
	if err := errors.Join(errKey, errWant); err != nil {
		return nil, err
	}
	return func(e *ottl.Env) (bool, error) {
		v, found, err := pointAttribute(e, key)
		return found && string(v.Bytes) == want, err
	}, nil
}}

// pointAttribute returns the attribute of the first data point of the metric that has it, as
// the Collector does: the points behind it do not matter. The Bytes are those of a string,
// and empty for other kinds.
func pointAttribute(e *ottl.Env, key string) (v otlp.Union, found bool, err error) {
	data := e.MetricData()
	if data == 0 {
		return v, false, errors.New("the metric has no data")
	}
	num := aggregate.AttributesField(data)
	for p := range points(dataOf(e.Item())) {
		for c := (wire.Cursor{Buf: p}); c.Next(); {
			if c.Num != num || c.Type != wire.TypeBytes {
				continue
			}
			if f := otlp.KeyValue(c.Bytes).Decode(); string(f.Key) == key {
				if v = f.Value.Value(); v.Num != otlpfield.AnyValueStringValue {
					v.Bytes = nil
				}
				return v, true, nil
			}
		}
	}
	return v, false, nil
}
