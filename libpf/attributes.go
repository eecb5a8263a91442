package libpf

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"unsafe"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Attributes is an immutable set of attributes, sorted by key, with unique keys. It is
// comparable: equal sets are equal strings. The zero value is the empty set. Use
// NewAttributes to create a set.
//
// The string is a sequence of protobuf messages as field 1, each with the key in field
// 1, the AnyValue in field 2 and the unit in field 3.
type Attributes string

// Attribute is a key with a value and its unit (UCUM; empty for none).
type Attribute struct {
	Key, Unit string
	// Value is an encoded opentelemetry.proto.common.v1.AnyValue, as the functions
	// named ...Attr create it. It is not checked. Empty means no value.
	Value string
}

// Field numbers of Attributes, and the size of an attribute in addition to its texts:
// an upper bound for tags and lengths.
const (
	setAttribute                                = 1
	attributeKey, attributeValue, attributeUnit = 1, 2, 3
	attributeOverheadBytes                      = 16
)

// StringAttr returns an attribute with a string.
func StringAttr(key, value string) Attribute {
	return Attribute{Key: key, Value: string(wire.AppendBytes(nil, otlpfield.AnyValueStringValue, validText(value)))}
}

// IntAttr returns an attribute with an integer.
func IntAttr(key string, value int64) Attribute {
	var e wire.Encoder
	e.Varint(otlpfield.AnyValueIntValue, uint64(value))
	return Attribute{Key: key, Value: string(e.Buf)}
}

// BoolAttr returns an attribute with a boolean.
func BoolAttr(key string, value bool) Attribute {
	var e wire.Encoder
	n := uint64(0)
	if value {
		n = 1
	}
	e.Varint(otlpfield.AnyValueBoolValue, n)
	return Attribute{Key: key, Value: string(e.Buf)}
}

// DoubleAttr returns an attribute with a double.
func DoubleAttr(key string, value float64) Attribute {
	var e wire.Encoder
	e.Double(otlpfield.AnyValueDoubleValue, value)
	return Attribute{Key: key, Value: string(e.Buf)}
}

// StringsAttr returns an attribute with an array of strings.
func StringsAttr(key string, values ...string) Attribute {
	return arrayAttr(key, values, func(e *wire.Encoder, v string) { e.String(otlpfield.AnyValueStringValue, validText(v)) })
}

// IntsAttr returns an attribute with an array of integers.
func IntsAttr(key string, values ...int64) Attribute {
	return arrayAttr(key, values, func(e *wire.Encoder, v int64) { e.Varint(otlpfield.AnyValueIntValue, uint64(v)) })
}

func arrayAttr[T any](key string, values []T, add func(*wire.Encoder, T)) Attribute {
	var e wire.Encoder
	array := e.Open(otlpfield.AnyValueArrayValue)
	for _, v := range values {
		one := e.Open(otlpfield.ArrayValueValues)
		add(&e, v)
		e.Close(one)
	}
	e.Close(array)
	return Attribute{Key: key, Value: string(e.Buf)}
}

// In returns the attribute with a unit.
func (a Attribute) In(unit string) Attribute { a.Unit = unit; return a }

// validText returns s with each run of invalid UTF-8 replaced by U+FFFD. Strings in
// protobuf must be UTF-8, otherwise receivers reject the whole request. Names of
// threads and environment variables can be invalid.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// NewAttributes returns a set with these attributes. Of attributes with the same key
// the last one is kept. Attributes with an empty key are dropped.
func NewAttributes(list ...Attribute) Attributes {
	sorted := slices.Clone(list)
	size := 0
	for i := range sorted {
		a := &sorted[i]
		a.Key, a.Unit = validText(a.Key), validText(a.Unit)
		size += len(a.Key) + len(a.Value) + len(a.Unit) + attributeOverheadBytes
	}
	slices.SortStableFunc(sorted, func(a, b Attribute) int { return cmp.Compare(a.Key, b.Key) })
	e := wire.Encoder{Buf: make([]byte, 0, size)}
	for i, a := range sorted {
		if a.Key == "" || i+1 < len(sorted) && sorted[i+1].Key == a.Key {
			continue
		}
		one := e.Open(setAttribute)
		e.String(attributeKey, a.Key)
		e.String(attributeValue, a.Value)
		if a.Unit != "" {
			e.String(attributeUnit, a.Unit)
		}
		e.Close(one)
	}
	return Attributes(e.Buf)
}

// All iterates over the attributes, sorted by key. It does not allocate: keys, values
// and units are substrings of the set and keep it in memory.
func (s Attributes) All() iter.Seq[Attribute] {
	return func(yield func(Attribute) bool) {
		// The cursors only read, and of what they return only the length is used:
		// nothing writes to the string.
		for c := (wire.Cursor{Buf: unsafe.Slice(unsafe.StringData(string(s)), len(s))}); c.Next(); {
			if c.Num != setAttribute || c.Type != wire.TypeBytes {
				continue
			}
			if !yield(attributeIn(string(s[c.End-len(c.Bytes):c.End]), c.Bytes)) {
				return
			}
		}
	}
}

// attributeIn decodes the attribute in text. b is the same bytes.
func attributeIn(text string, b []byte) (a Attribute) {
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		if c.Type != wire.TypeBytes {
			continue
		}
		part := text[c.End-len(c.Bytes) : c.End]
		switch c.Num {
		case attributeKey:
			a.Key = part
		case attributeValue:
			a.Value = part
		case attributeUnit:
			a.Unit = part
		}
	}
	return a
}

// With returns the set with more attributes. They replace attributes with the same
// key.
func (s Attributes) With(more ...Attribute) Attributes {
	if len(more) == 0 {
		return s
	}
	return NewAttributes(append(slices.Collect(s.All()), more...)...)
}
