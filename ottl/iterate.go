package ottl

import (
	"iter"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Pairs returns the keys and values of a KindMap, in their order.
func (e *Env) Pairs(v Value) iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
			if c.Num != otlpfield.KeyValueListValues || c.Type != wire.TypeBytes {
				continue
			}
			f := otlp.KeyValue(c.Bytes).Decode()
			k := f.Key
			if len(k) == 0 && f.KeyStrindex != 0 {
				k = e.dictionaryString(f.KeyStrindex)
			}
			if !yield(k, e.decode(f.Value)) {
				return
			}
		}
	}
}

// Items returns the elements of a KindList.
func (e *Env) Items(v Value) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
			if c.Num == otlpfield.ArrayValueValues && c.Type == wire.TypeBytes && !yield(e.decode(c.Bytes)) {
				return
			}
		}
	}
}

// Path returns what a path of the context is for an item, such as parent_span_id.
func (a *Args) Path(text string) (Getter, error) {
	x, err := syntax.ParseValue(text)
	if err != nil {
		return nil, err
	}
	path, err := a.c.expr(x)
	if err != nil {
		return nil, err
	}
	return path.get, nil
}

// NewEnv returns an Env without an item, in which functions evaluate literals.
func NewEnv() *Env { return newEnv() }
