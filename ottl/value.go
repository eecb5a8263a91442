package ottl

import (
	"math"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Kind is the type of a Value.
type Kind uint8

// The kinds.
const (
	KindNil Kind = iota
	KindBool
	KindInt
	KindDouble
	KindString
	KindBytes
	KindMap  // keys and values
	KindList // values
	KindTime
	KindDuration
	KindTraceID
	KindSpanID
	KindProfileID
)

var kindNames = [...]string{"nil", "bool", "int", "double", "string", "bytes", "map", "list", "time", "duration", "trace id", "span id", "profile id", "messages"}

// String returns the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Value is what an expression is for one item. Its bytes belong to the request or to the
// Env that made it, and are valid until the next item.
type Value struct {
	kind Kind
	num  uint64 // bool, int, bits of a double, nanoseconds
	// bytes are the text of a String, the content of Bytes and of ids; the fields of a
	// KeyValueList or an ArrayValue.
	bytes []byte
	zone  *time.Location // of a Time; nil: UTC
}

// Kind returns the type.
func (v Value) Kind() Kind { return v.kind }

// IsNil reports whether there is no value.
func (v Value) IsNil() bool { return v.kind == KindNil }

// Bool returns the value of a Bool.
func (v Value) Bool() bool { return v.kind == KindBool && v.num != 0 }

// Int returns the value of an Int, or the nanoseconds of a Time (since 1970) or Duration.
func (v Value) Int() int64 { return int64(v.num) }

// Double returns the value of a Double.
func (v Value) Double() float64 { return math.Float64frombits(v.num) }

// Bytes returns the text of a String, the content of Bytes and ids, the fields of the
// KeyValueList of a Map, or of the ArrayValue of a List. They are not changed.
func (v Value) Bytes() []byte { return v.bytes }

// Time returns the value of a Time.
func (v Value) Time() time.Time {
	t := time.Unix(0, int64(v.num))
	if v.zone == nil {
		return t.UTC()
	}
	return t.In(v.zone)
}

// Duration returns the value of a Duration.
func (v Value) Duration() time.Duration { return time.Duration(v.num) }

// OfBool returns a Bool.
func OfBool(b bool) Value {
	if b {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// OfInt returns an Int.
func OfInt(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// OfDouble returns a Double.
func OfDouble(f float64) Value { return Value{kind: KindDouble, num: math.Float64bits(f)} }

// OfText returns a String of valid UTF-8.
func OfText(b []byte) Value { return Value{kind: KindString, bytes: b} }

// OfString is OfText.
func OfString(s string) Value { return Value{kind: KindString, bytes: []byte(s)} }

// OfBytes returns Bytes, or an id of 16 or 8 bytes of the kinds TraceID, SpanID, ProfileID.
func OfBytes(k Kind, b []byte) Value { return Value{kind: k, bytes: b} }

// OfTime returns a Time. One outside of the years 1678 to 2262 wraps around.
func OfTime(t time.Time) Value {
	return Value{kind: KindTime, num: uint64(t.UnixNano()), zone: t.Location()}
}

// OfDuration returns a Duration.
func OfDuration(d time.Duration) Value { return Value{kind: KindDuration, num: uint64(d)} }

// OfFields returns a Map of the fields of a KeyValueList, or a List of those of an
// ArrayValue.
func OfFields(k Kind, fields []byte) Value { return Value{kind: k, bytes: fields} }

// decode returns the value of an AnyValue. A reference into the dictionary is replaced by
// the string at once; inside of a map or list it stays, and is replaced when it is read. Of a
// signal without a dictionary a reference is Nil.
func (e *Env) decode(any []byte) Value {
	if len(any) == 0 {
		return Value{}
	}
	if any[0] == otlpfield.AnyValueStringValue<<3|byte(wire.TypeBytes) && len(any) >= 2 && any[1] < 0x80 && len(any) == 2+int(any[1]) {
		return Value{kind: KindString, bytes: any[2:]} // as most are
	}
	u := otlp.AnyValue(any).Value()
	switch u.Num {
	case otlpfield.AnyValueStringValue:
		return Value{kind: KindString, bytes: u.Bytes}
	case otlpfield.AnyValueIntValue:
		return Value{kind: KindInt, num: u.Scalar}
	case otlpfield.AnyValueDoubleValue:
		return Value{kind: KindDouble, num: u.Scalar}
	case otlpfield.AnyValueBoolValue:
		return OfBool(u.Scalar != 0)
	case otlpfield.AnyValueBytesValue:
		return Value{kind: KindBytes, bytes: u.Bytes}
	case otlpfield.AnyValueKvlistValue:
		return Value{kind: KindMap, bytes: u.Bytes}
	case otlpfield.AnyValueArrayValue:
		return Value{kind: KindList, bytes: u.Bytes}
	case otlpfield.AnyValueStringValueStrindex:
		if !e.dictionary {
			return Value{}
		}
		return Value{kind: KindString, bytes: e.dictionaryString(int32(u.Scalar))}
	}
	return Value{}
}

// size is how many bytes AppendValue writes at most.
func (v Value) size() int { return len(v.bytes) + 24 }

// appendValue appends the fields of an AnyValue. Times and durations become integers of
// nanoseconds, ids bytes.
func appendValue(enc *wire.Encoder, v Value) {
	switch v.kind {
	case KindBool:
		enc.Varint(otlpfield.AnyValueBoolValue, v.num)
	case KindInt, KindTime, KindDuration:
		enc.Varint(otlpfield.AnyValueIntValue, v.num)
	case KindDouble:
		enc.Fixed64(otlpfield.AnyValueDoubleValue, v.num)
	case KindString:
		enc.Bytes(otlpfield.AnyValueStringValue, v.bytes)
	case KindBytes, KindTraceID, KindSpanID, KindProfileID:
		enc.Bytes(otlpfield.AnyValueBytesValue, v.bytes)
	case KindMap:
		enc.Bytes(otlpfield.AnyValueKvlistValue, v.bytes)
	case KindList:
		enc.Bytes(otlpfield.AnyValueArrayValue, v.bytes)
	}
}
