package otlp

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// The JSON encoding of OTLP is that of protobuf
// (https://protobuf.dev/programming-guides/json) with the changes of the OTLP
// specification, "JSON Protobuf Encoding": ids are hex digits, enums are numbers,
// unknown fields are skipped.
//
//	json_decode.go       JSON to wire: objects and lists
//	json_value.go        … the value of a field
//	json_keyvalue.go     … a fast path for attributes
//	json_text.go         … strings: escapes, hex, base64
//	json_number.go       … numbers
//	json_skip.go         … the values of unknown fields
//	json_encode.go       wire to JSON: messages and lists
//	json_encode_value.go … numbers, strings and ids
//	json.gen.go          the tables, from the descriptors

// ErrShortBuffer means that the result does not fit into the given buffer.
var ErrShortBuffer = errors.New("output buffer too small")

// jsonSlack is the free space in the output buffer, in bytes, that lets the decoder
// write short values without a check of each byte.
const jsonSlack = 32

// MaxWireBytes returns an upper bound for the size in bytes of the wire form of n
// bytes of JSON. Most requests take half the size of their text. The worst case is
// a list of doubles of one digit, each two bytes of text and eight on the wire.
func MaxWireBytes(n int) int { return 4*n + 2*jsonSlack }

// JSONError is the error of an invalid JSON request.
type JSONError struct {
	Signal Signal
	// Offset is the byte offset in the text of the error, or of the value with the
	// error.
	Offset int
	// Path names the field: "resourceSpans[0].scopeSpans[1].spans[2].traceId". It
	// is empty for an error outside all fields.
	Path string
	Err  error
}

func (e *JSONError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("%s request, byte %d: %v", e.Signal, e.Offset, e.Err)
	}
	return fmt.Sprintf("%s request, byte %d, %s: %v", e.Signal, e.Offset, e.Path, e.Err)
}

// Unwrap returns the cause.
func (e *JSONError) Unwrap() error { return e.Err }

// jsonField describes a field: its names in JSON, its tag and its type.
type jsonField struct {
	key  string // in compact JSON: `"traceId":`
	orig string // "trace_id", which readers must accept too
	tag  uint8  // of one value: number<<3 | wire type
	kind jsonKind
	arg  uint8 // the nested message, or the enum
	form jsonForm
}

// name is the field's lowerCamelCase name.
func (f *jsonField) name() string { return f.key[1 : len(f.key)-2] }

func (f *jsonField) num() uint32 { return uint32(f.tag >> 3) }

func (f *jsonField) wireType() wire.Type { return wire.Type(f.tag & 7) }

// packedTag is the tag of the field as a packed list.
func (f *jsonField) packedTag() uint8 { return f.tag&^7 | uint8(wire.TypeBytes) }

// jsonForm is the cardinality of a field.
type jsonForm uint8

const (
	formPlain   jsonForm = iota // one value; the default is not written
	formPresent                 // one value; the default is written, since it differs from "absent"
	formOneof                   // one value, a member of a oneof; the default is written
	formList
)

// jsonKind is a field's type.
type jsonKind uint8

const (
	jsonMessage jsonKind = iota
	jsonString
	jsonBytes // base64
	jsonHex   // an id
	jsonDouble
	jsonBool
	jsonEnum
	jsonInt32
	jsonSint32
	jsonUint32
	jsonFixed32
	jsonInt64
	jsonSfixed64
	jsonUint64
	jsonFixed64
)

type jsonEnumValue struct {
	name   string
	number int32
}
