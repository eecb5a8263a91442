package otlp

import (
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// OTLP's JSON form is protobuf's (https://protobuf.dev/programming-guides/json)
// with the changes of the OTLP specification, "JSON Protobuf Encoding": ids are
// hex digits, enums are numbers, unknown fields are skipped.
//
//	json_decode.go   text → wire: the walk over objects and lists
//	json_value.go    … and the value of one field
//	json_keyvalue.go … and a short cut for attributes
//	json_text.go     strings: escapes, hex, base64
//	json_number.go   numbers
//	json_skip.go     values of unknown fields
//	json_encode.go   wire → text: messages and lists
//	json_encode_value.go … and numbers, strings and ids
//	json.gen.go      the tables, from the descriptors

// ErrShortBuffer says that a result does not fit into the room that was given.
var ErrShortBuffer = errors.New("output buffer too small")

// jsonSlack is room beyond what is written that lets the decoder write short
// values without asking for each byte.
const jsonSlack = 32

// MaxWireBytes returns the room in which the wire form of n bytes of JSON always
// fits. Most requests take half of their text; the worst is a list of one-digit
// doubles, each two bytes of text and eight on the wire.
func MaxWireBytes(n int) int { return 4*n + 2*jsonSlack }

// JSONError says what is wrong with the JSON text of a request, and where.
type JSONError struct {
	Signal Signal
	// Offset is the index of the byte that is wrong, or at which the value that
	// is wrong begins.
	Offset int
	// Path is the way to it: "resourceSpans[0].scopeSpans[1].spans[2].traceId".
	// It is empty outside the first field.
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

// jsonField is what the text and the wire call a field, and what it holds.
type jsonField struct {
	key  string // as it stands in compact text: `"traceId":`
	orig string // "trace_id", which readers have to take too
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

// jsonForm says what surrounds a field's value.
type jsonForm uint8

const (
	formPlain   jsonForm = iota // one value; the default need not be written
	formPresent                 // one value; the default is written, for it differs from "absent"
	formOneof                   // … and excludes the other members
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
