package main

import (
	"fmt"
	"strings"

	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// model is the data of the templates: every message and enum that the four requests
// refer to, directly or indirectly, in the order of the first reference.
type model struct {
	Messages []*message
	Enums    []*enum
	seen     map[protoreflect.FullName]bool
}

type message struct {
	Name   string // Go name: "SpanEvent"
	Proto  string // "opentelemetry.proto.trace.v1.Span.Event"
	Text   string // from texts.txt
	Fields []*field
	Oneofs []*oneof
}

type oneof struct {
	Name    string
	Members []*field
}

type field struct {
	Num     uint32
	Name    string // Go name: "TraceID"
	Proto   string // "trace_id"
	JSON    string // "traceId"
	Kind    protoreflect.Kind
	Type    string // Go type of the message or enum
	List    bool
	Has     bool // proto3 optional: presence is known
	Oneof   string
	Table   uint32 // the dictionary table that an index points into, 0 if none
	Message string // the message that holds the field
	Text    string // from texts.txt
}

type enum struct {
	Name, Proto string
	Text        string // from texts.txt
	Values      []enumValue
}

type enumValue struct {
	Name, Short string
	Number      int32
}

// indexTables maps an index field to the table of the ProfilesDictionary that it
// points into. Fields that end in _strindex point into string_table.
var indexTables = map[string]protoreflect.Name{
	"mapping_index": "mapping_table", "location_indices": "location_table", "function_index": "function_table",
	"link_index": "link_table", "attribute_indices": "attribute_table", "stack_index": "stack_table",
}

// dictionaryTable returns the number of the dictionary table that the index
// field points into, 0 if the field is not known as an index.
func dictionaryTable(field string) uint32 {
	table := indexTables[field]
	if strings.HasSuffix(field, "_strindex") {
		table = "string_table"
	}
	if table == "" {
		return 0
	}
	return uint32((&profiles.ProfilesDictionary{}).ProtoReflect().Descriptor().Fields().ByName(table).Number())
}

func (m *model) add(d protoreflect.MessageDescriptor) error {
	if m.seen == nil {
		m.seen = map[protoreflect.FullName]bool{}
	}
	if m.seen[d.FullName()] {
		return nil
	}
	m.seen[d.FullName()] = true
	msg := &message{Name: goName(d), Proto: string(d.FullName())}
	m.Messages = append(m.Messages, msg)
	for i := range d.Fields().Len() {
		f, err := m.field(d.Fields().Get(i))
		if err != nil {
			return err
		}
		f.Message = msg.Name
		msg.Fields = append(msg.Fields, f)
	}
	for i := range d.Oneofs().Len() {
		if o := d.Oneofs().Get(i); !o.IsSynthetic() {
			msg.Oneofs = append(msg.Oneofs, newOneof(o, msg))
		}
	}
	return nil
}

// newOneof returns the oneof of the fields in o, which msg has already.
func newOneof(o protoreflect.OneofDescriptor, msg *message) *oneof {
	out := &oneof{Name: camel(string(o.Name()))}
	for _, f := range msg.Fields {
		if o.Fields().ByNumber(protoreflect.FieldNumber(f.Num)) != nil {
			f.Oneof = out.Name
			out.Members = append(out.Members, f)
		}
	}
	return out
}

func (m *model) field(d protoreflect.FieldDescriptor) (*field, error) {
	f := &field{
		Num: uint32(d.Number()), Name: camel(string(d.Name())), Proto: string(d.Name()),
		JSON: d.JSONName(), Kind: d.Kind(), List: d.IsList(),
		Has: d.HasOptionalKeyword(),
	}
	switch {
	case d.IsMap():
		return nil, fmt.Errorf("%s: maps are not supported", d.FullName())
	case f.Num > 31:
		return nil, fmt.Errorf("%s: number %d does not fit the tag table, which ends at 31", d.FullName(), f.Num)
	}
	switch f.Kind {
	case protoreflect.MessageKind:
		f.Type = goName(d.Message())
		return f, m.add(d.Message())
	case protoreflect.EnumKind:
		f.Type = m.enum(d.Enum())
	case protoreflect.GroupKind, protoreflect.FloatKind, protoreflect.Sint64Kind, protoreflect.Sfixed32Kind:
		return nil, fmt.Errorf("%s: kind %s is not supported", d.FullName(), f.Kind)
	}
	if f.Kind == protoreflect.Int32Kind {
		f.Table = dictionaryTable(f.Proto)
		if f.Table == 0 && strings.Contains(f.Proto, "_ind") {
			return nil, fmt.Errorf("%s seems to be a dictionary index, but its table is not known", d.FullName())
		}
	}
	return f, nil
}

func (m *model) enum(d protoreflect.EnumDescriptor) string {
	name := goName(d)
	if m.seen[d.FullName()] {
		return name
	}
	m.seen[d.FullName()] = true
	e := &enum{Name: name, Proto: string(d.FullName())}
	prefix := commonPrefix(d)
	for i := range d.Values().Len() {
		v := d.Values().Get(i)
		short := strings.TrimPrefix(string(v.Name()), prefix)
		e.Values = append(e.Values, enumValue{
			Name: name + camel(strings.ToLower(short)), Short: string(v.Name()), Number: int32(v.Number()),
		})
	}
	m.Enums = append(m.Enums, e)
	return name
}

// commonPrefix returns the common prefix of all value names of an enum, up to an
// underscore: "SPAN_KIND_".
func commonPrefix(d protoreflect.EnumDescriptor) string {
	p := string(d.Values().Get(0).Name())
	for i := range d.Values().Len() {
		n := string(d.Values().Get(i).Name())
		for !strings.HasPrefix(n, p) {
			p = p[:len(p)-1]
		}
	}
	return p[:strings.LastIndex(p, "_")+1]
}

// goName joins the names of nested types: Span.Event is SpanEvent. A name that begins
// with the name of its parent is not prefixed: Status.StatusCode is StatusCode.
func goName(d protoreflect.Descriptor) string {
	name := string(d.Name())
	if p, ok := d.Parent().(protoreflect.MessageDescriptor); ok && !strings.HasPrefix(name, string(p.Name())) {
		return goName(p) + name
	}
	return name
}

// camel turns trace_id into TraceID.
func camel(s string) string {
	var out strings.Builder
	for w := range strings.SplitSeq(s, "_") {
		switch {
		case w == "":
		case w == "id" || w == "url":
			out.WriteString(strings.ToUpper(w))
		default:
			out.WriteString(strings.ToUpper(w[:1]) + w[1:])
		}
	}
	return out.String()
}

// IsMessage reports whether the field is a message.
func (f *field) IsMessage() bool { return f.Kind == protoreflect.MessageKind }

// IsText reports whether the field is a string or bytes.
func (f *field) IsText() bool {
	return f.Kind == protoreflect.StringKind || f.Kind == protoreflect.BytesKind
}

// Wire is the wire type of the field, or of an element if it is a list.
func (f *field) Wire() uint32 {
	switch f.Kind {
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return 1
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return 2
	case protoreflect.Fixed32Kind:
		return 5
	}
	return 0
}

// WireName is the name of the wire type in package wire.
func (f *field) WireName() string {
	return map[uint32]string{0: "wire.TypeVarint", 1: "wire.TypeFixed64", 2: "wire.TypeBytes", 5: "wire.TypeFixed32"}[f.Wire()]
}

// Tag is the tag of the field on the wire.
func (f *field) Tag() uint32 { return f.Num<<3 | f.Wire() }

// PackedTag is the tag of the packed form of the field.
func (f *field) PackedTag() uint32 { return f.Num<<3 | 2 }

// Go is the Go type of one value.
func (f *field) Go() string {
	switch f.Kind {
	case protoreflect.BoolKind:
		return "bool"
	case protoreflect.DoubleKind:
		return "float64"
	case protoreflect.Fixed32Kind, protoreflect.Uint32Kind:
		return "uint32"
	case protoreflect.Fixed64Kind, protoreflect.Uint64Kind:
		return "uint64"
	case protoreflect.Sfixed64Kind, protoreflect.Int64Kind:
		return "int64"
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return "int32"
	case protoreflect.StringKind, protoreflect.BytesKind:
		return "[]byte"
	}
	return f.Type
}

// GoList is the Go type of a repeated field.
func (f *field) GoList() string {
	switch f.Wire() {
	case 2:
		return "List[" + f.Go() + "]"
	case 0:
		return "Varints[" + f.Go() + "]"
	case 1:
		if f.Kind == protoreflect.DoubleKind {
			return "Doubles"
		}
		return "Fixed64s"
	}
	panic("no list of " + f.Kind.String())
}

// Conv is the expression that converts the scalar v to a Go value.
func (f *field) Conv(v string) string {
	switch f.Kind {
	case protoreflect.BoolKind:
		return v + " != 0"
	case protoreflect.DoubleKind:
		return "math.Float64frombits(" + v + ")"
	case protoreflect.Sint32Kind:
		return "zigzag(" + v + ")"
	case protoreflect.Fixed64Kind, protoreflect.Uint64Kind:
		return v
	case protoreflect.EnumKind:
		return f.Type + "(int32(" + v + "))"
	}
	return f.Go() + "(" + v + ")"
}
