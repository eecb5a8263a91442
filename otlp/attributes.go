package otlp

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"math"
	"strconv"

	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds. KindEmpty is a value that is not set; the others have the number of
// the field of AnyValue that is set.
const (
	KindEmpty  Kind = 0
	KindString Kind = otlpfield.AnyValueStringValue
	KindBool   Kind = otlpfield.AnyValueBoolValue
	KindInt    Kind = otlpfield.AnyValueIntValue
	KindDouble Kind = otlpfield.AnyValueDoubleValue
	KindArray  Kind = otlpfield.AnyValueArrayValue
	KindMap    Kind = otlpfield.AnyValueKvlistValue
	KindBytes  Kind = otlpfield.AnyValueBytesValue
)

// String returns the name of the kind: "empty", "string", "bool", …
func (k Kind) String() string {
	names := [...]string{
		KindEmpty: "empty", KindString: "string", KindBool: "bool", KindInt: "int",
		KindDouble: "double", KindArray: "array", KindMap: "map", KindBytes: "bytes",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Value is an AnyValue. If that is a reference to a string of the dictionary,
// Value is the string.
type Value struct {
	u    Union
	dict *Dictionary
}

// Resolve returns the value of v. d is nil for signals without a dictionary; a
// reference is then treated as absent (common.proto).
func (v AnyValue) Resolve(d *Dictionary) Value {
	u := v.Value()
	if u.Num == otlpfield.AnyValueStringValueStrindex {
		if d == nil {
			return Value{}
		}
		u = Union{Num: otlpfield.AnyValueStringValue, Bytes: d.String(int32(u.Scalar))}
	}
	return Value{u, d}
}

// Kind returns the type of the value.
func (v Value) Kind() Kind { return Kind(v.u.Num) }

// Text returns the content of a string or of bytes, nil for other kinds.
func (v Value) Text() []byte {
	if v.Kind() == KindString || v.Kind() == KindBytes {
		return v.u.Bytes
	}
	return nil
}

// Bool returns the value of a bool, false for other kinds.
func (v Value) Bool() bool { return v.Kind() == KindBool && v.u.Scalar != 0 }

// Int returns the value of an int, 0 for other kinds.
func (v Value) Int() int64 {
	if v.Kind() != KindInt {
		return 0
	}
	return int64(v.u.Scalar)
}

// Double returns the value of a double, 0 for other kinds.
func (v Value) Double() float64 {
	if v.Kind() != KindDouble {
		return 0
	}
	return math.Float64frombits(v.u.Scalar)
}

// Array iterates over the elements of an array.
func (v Value) Array() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != KindArray {
			return
		}
		for e := range ArrayValue(v.u.Bytes).Values().All() {
			if !yield(e.Resolve(v.dict)) {
				return
			}
		}
	}
}

// Map iterates over the keys and values of a map, in order.
func (v Value) Map() iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		if v.Kind() != KindMap {
			return
		}
		for k, e := range Attributes(KeyValueList(v.u.Bytes).Values(), v.dict) {
			if !yield(k, e) {
				return
			}
		}
	}
}

// Attributes iterates over a list of attributes, in order. Keys and values that
// refer to the dictionary are resolved. d is nil for signals without one.
func Attributes(l List[KeyValue], d *Dictionary) iter.Seq2[[]byte, Value] {
	return func(yield func([]byte, Value) bool) {
		for kv := range l.All() {
			f := kv.Decode()
			if !yield(f.name(d), f.Value.Resolve(d)) {
				return
			}
		}
	}
}

// Name returns the key, resolved through the dictionary if it is a reference.
func (m KeyValue) Name(d *Dictionary) []byte {
	f := m.Decode()
	return f.name(d)
}

func (f *KeyValueFields) name(d *Dictionary) []byte {
	if len(f.Key) == 0 && f.KeyStrindex != 0 && d != nil {
		return d.String(f.KeyStrindex)
	}
	return f.Key
}

// Attribute returns the value of the first attribute named key.
func Attribute(l List[KeyValue], d *Dictionary, key string) (v Value, ok bool) {
	for k, v := range Attributes(l, d) {
		if string(k) == key {
			return v, true
		}
	}
	return Value{}, false
}

// AppendText appends v as text: a string as it is, a number or bool as in JSON,
// bytes in base64, arrays and maps as JSON.
func (v Value) AppendText(dst []byte) []byte {
	switch v.Kind() {
	case KindString:
		return append(dst, v.u.Bytes...)
	case KindBytes:
		return base64.StdEncoding.AppendEncode(dst, v.u.Bytes)
	case KindArray, KindMap:
		return v.appendJSON(dst, 0)
	case KindEmpty:
		return dst
	}
	return v.appendJSON(dst, 0)
}

// appendJSON recurses at most MaxDepth levels for a request that Check accepted.
// The limit is for bytes that were not checked.
func (v Value) appendJSON(dst []byte, depth int) []byte {
	if depth > MaxDepth {
		return append(dst, "null"...)
	}
	switch v.Kind() {
	case KindString:
		return appendQuoted(dst, v.u.Bytes)
	case KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case KindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case KindDouble:
		return appendDouble(dst, v.Double())
	case KindBytes:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.u.Bytes), '"')
	case KindArray:
		dst = append(dst, '[')
		sep := false
		for e := range v.Array() {
			if sep {
				dst = append(dst, ',')
			}
			dst, sep = e.appendJSON(dst, depth+1), true
		}
		return append(dst, ']')
	case KindMap:
		dst = append(dst, '{')
		sep := false
		for k, e := range v.Map() {
			if sep {
				dst = append(dst, ',')
			}
			dst, sep = e.appendJSON(append(appendQuoted(dst, k), ':'), depth+1), true
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// appendDouble appends a double as JSON. NaN and the infinities, which JSON does
// not have, are strings, as in the JSON mapping of protobuf.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

func appendQuoted(dst, s []byte) []byte {
	q, err := json.Marshal(string(s))
	if err != nil {
		return append(dst, `""`...)
	}
	return append(dst, q...)
}
