package libpf

import (
	"cmp"
	"iter"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Attributes is an immutable set of attributes, sorted by key, no key twice. It
// is comparable: equal sets are equal strings. The zero value is the empty set.
// NewAttributes makes one.
//
// It is a list of protobuf messages, field 1 each, with the key in field 1, the
// AnyValue in field 2 and the unit in field 3.
type Attributes string

// Attribute is a key with a value and its unit (UCUM; empty for none).
type Attribute struct {
	Key, Unit string
	// Value is an opentelemetry.proto.common.v1.AnyValue in protobuf. The
	// functions named ...Attr make it.
	Value string
}

// Field numbers of AnyValue (common.proto).
const (
	anyString, anyBool, anyInt, anyDouble, anyArray = 1, 2, 3, 4, 5
	arrayValues                                     = 1
)

// StringAttr returns an attribute with a string.
func StringAttr(key, value string) Attribute {
	return Attribute{Key: key, Value: string(wire.AppendBytes(nil, anyString, value))}
}

// IntAttr returns an attribute with an integer.
func IntAttr(key string, value int64) Attribute {
	var e wire.Encoder
	e.Varint(anyInt, uint64(value))
	return Attribute{Key: key, Value: string(e.Buf)}
}

// BoolAttr returns an attribute with a boolean.
func BoolAttr(key string, value bool) Attribute {
	var e wire.Encoder
	n := uint64(0)
	if value {
		n = 1
	}
	e.Varint(anyBool, n)
	return Attribute{Key: key, Value: string(e.Buf)}
}

// StringsAttr returns an attribute with an array of strings.
func StringsAttr(key string, values ...string) Attribute {
	return arrayAttr(key, values, func(e *wire.Encoder, v string) { e.String(anyString, v) })
}

// IntsAttr returns an attribute with an array of integers.
func IntsAttr(key string, values ...int64) Attribute {
	return arrayAttr(key, values, func(e *wire.Encoder, v int64) { e.Varint(anyInt, uint64(v)) })
}

func arrayAttr[T any](key string, values []T, add func(*wire.Encoder, T)) Attribute {
	var e wire.Encoder
	array := e.Open(anyArray)
	for _, v := range values {
		one := e.Open(arrayValues)
		add(&e, v)
		e.Close(one)
	}
	e.Close(array)
	return Attribute{Key: key, Value: string(e.Buf)}
}

// In returns the attribute with a unit.
func (a Attribute) In(unit string) Attribute { a.Unit = unit; return a }

// NewAttributes returns a set. Of attributes with the same key the last one
// counts; those without a key are left out.
func NewAttributes(list ...Attribute) Attributes {
	sorted := slices.Clone(list)
	slices.SortStableFunc(sorted, func(a, b Attribute) int { return cmp.Compare(a.Key, b.Key) })
	var e wire.Encoder
	for i, a := range sorted {
		if a.Key == "" || i+1 < len(sorted) && sorted[i+1].Key == a.Key {
			continue
		}
		one := e.Open(1)
		e.String(1, a.Key)
		e.String(2, a.Value)
		if a.Unit != "" {
			e.String(3, a.Unit)
		}
		e.Close(one)
	}
	return Attributes(e.Buf)
}

// All iterates over the attributes, by key.
func (s Attributes) All() iter.Seq[Attribute] {
	return func(yield func(Attribute) bool) {
		for c := (wire.Cursor{Buf: []byte(s)}); c.Next(); {
			one := wire.Cursor{Buf: c.Bytes}
			var a Attribute
			for one.Next() {
				switch one.Num {
				case 1:
					a.Key = string(one.Bytes)
				case 2:
					a.Value = string(one.Bytes)
				case 3:
					a.Unit = string(one.Bytes)
				}
			}
			if !yield(a) {
				return
			}
		}
	}
}

// With returns the set with more attributes, which replace those of equal keys.
func (s Attributes) With(more ...Attribute) Attributes {
	if len(more) == 0 {
		return s
	}
	return NewAttributes(append(slices.Collect(s.All()), more...)...)
}
