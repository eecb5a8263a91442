package attrs

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/penstock-telemetry/penstock/otlp"
)

// EncodeValue returns v, as a configuration holds it, as the bytes of an
// AnyValue; nil for nil.
func EncodeValue(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	e := otlp.Encoder{Buf: []byte{}}
	const attribute = 2 // messages: the KeyValue and its AnyValue
	if err := appendValue(otlp.AppendAnyValue(&e), v, attribute); err != nil {
		return nil, err
	}
	return e.Buf, nil
}

// appendValue writes v into b, which is the depth-th of the messages that are nested in
// each other.
func appendValue(b otlp.AnyValueBuilder, v any, depth int) error {
	if depth > otlp.DefaultDepth {
		return &otlp.DepthError{Found: depth, Max: otlp.DefaultDepth}
	}
	switch v := v.(type) {
	case nil:
	case string:
		b.SetStringValue(v)
	case bool:
		b.SetBoolValue(v)
	case int:
		b.SetIntValue(int64(v))
	case int64:
		b.SetIntValue(v)
	case uint64:
		if v > math.MaxInt64 {
			return fmt.Errorf("expected an integer of 64 bits with sign, found %d", v)
		}
		b.SetIntValue(int64(v))
	case float64:
		b.SetDoubleValue(v)
	case []any:
		return appendList(b, v, depth)
	case map[string]any:
		return appendMap(b, v, depth)
	default:
		return fmt.Errorf("expected a string, bool, number, list or map, found %T", v)
	}
	return nil
}

func appendList(b otlp.AnyValueBuilder, list []any, depth int) error {
	array := b.SetArrayValue()
	defer array.Close()
	for _, v := range list {
		element := array.AddValues()
		err := appendValue(element, v, depth+2)
		element.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// appendMap sorts the keys, so that the same configuration writes the same bytes.
func appendMap(b otlp.AnyValueBuilder, m map[string]any, depth int) error {
	list := b.SetKvlistValue()
	defer list.Close()
	for _, key := range slices.Sorted(maps.Keys(m)) {
		kv := list.AddValues()
		kv.SetKey(key)
		value := kv.SetValue()
		err := appendValue(value, m[key], depth+3)
		value.Close()
		kv.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
