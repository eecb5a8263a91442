package differential

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// oddities are what can be found in bytes that not everybody judges alike. The
// walk that finds them goes by the official descriptors, recurses, and forgives
// what any of the three forgives.
type oddities struct {
	overflow    bool // a varint of more than 64 bits
	wideNumber  bool // a field number above 2^29-1
	groupEnd    bool // a group ended by another's end
	group       bool // a group
	deepGroup   bool // groups in an unknown field nested deeper than 64
	mistyped    bool // a known field with a wire type that it cannot have
	deepValue   bool // messages of values nested deeper than otlp.DefaultDepth
	outside     bool // an index outside its dictionary table
	badID       bool // a trace, span or profile id neither empty nor of its length
	reference   bool // a string reference that pdata does not resolve: outside the table, or beside a key
	deprecated  bool // field 1000 of a ResourceX, which no descriptor has any more
	repeatedOne bool // members of one oneof more than once

	tags    []int // where each field begins
	lengths []int // where each length begins
}

// tables holds the number of entries of each table of a request's dictionary.
type tables map[protoreflect.Name]uint64

// look walks a request of signal s.
func look(s otlp.Signal, request []byte) *oddities {
	var o oddities
	d := testkit.NewMessage(s).ProtoReflect().Descriptor()
	var t tables
	if dictionary := d.Fields().ByName("dictionary"); dictionary != nil {
		t = tables{}
		var ignored oddities
		ignored.fields(request, 0, func(f field) {
			if f.num != dictionary.Number() || f.typ != protowire.BytesType {
				return
			}
			ignored.fields(f.value, 0, func(e field) {
				if fd := dictionary.Message().Fields().ByNumber(e.num); fd != nil && e.typ == protowire.BytesType {
					t[fd.Name()]++
				}
			})
		})
	}
	o.message(d, request, 0, 0, t)
	return &o
}

// field is one field as it stands on the wire.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	at     int // where the tag begins
	length int // where the length begins, 0 if it has none
	start  int // where the value begins
	scalar uint64
	value  []byte
}

// varint reads a varint as the most forgiving reader does.
func (o *oddities) varint(b []byte, i int) (v uint64, next int, ok bool) {
	for shift := uint(0); shift < 70 && i < len(b); shift += 7 {
		c := b[i]
		i++
		if shift == 63 && c > 1 {
			o.overflow = true
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i, true
		}
	}
	return 0, i, false
}

func (o *oddities) tag(b []byte, i int) (num protowire.Number, typ protowire.Type, next int, ok bool) {
	v, next, ok := o.varint(b, i)
	if v>>3 > uint64(protowire.MaxValidNumber) {
		o.wideNumber = true
	}
	num = protowire.Number(int32(v >> 3))
	return num, protowire.Type(v & 7), next, ok && num > 0
}

// fields calls f with each field of b until one is not whole; base is where b
// begins in the request.
func (o *oddities) fields(b []byte, base int, f func(field)) {
	for i := 0; i < len(b); {
		x := field{at: base + i}
		var ok bool
		if x.num, x.typ, i, ok = o.tag(b, i); !ok {
			return
		}
		x.start = base + i
		switch x.typ {
		case protowire.VarintType:
			x.scalar, i, ok = o.varint(b, i)
		case protowire.BytesType:
			var n uint64
			x.length = base + i
			if n, i, ok = o.varint(b, i); ok && n <= uint64(len(b)-i) {
				x.start, x.value = base+i, b[i:i+int(n)]
				i += int(n)
			} else {
				ok = false
			}
		case protowire.StartGroupType:
			i, ok = o.skipGroup(b, i, x.num, 1)
		default:
			i, ok = skipFixed(x.typ, b, i)
		}
		if !ok {
			return
		}
		f(x)
	}
}

func skipFixed(typ protowire.Type, b []byte, i int) (next int, ok bool) {
	switch typ {
	case protowire.Fixed64Type:
		i += 8
	case protowire.Fixed32Type:
		i += 4
	default:
		return i, false
	}
	return i, i <= len(b)
}

// skipGroup returns the index behind a group.
func (o *oddities) skipGroup(b []byte, i int, open protowire.Number, depth int) (next int, ok bool) {
	o.group, o.deepGroup = true, o.deepGroup || depth > 64
	for i < len(b) {
		num, typ, next, ok := o.tag(b, i)
		if !ok {
			return next, false
		}
		i = next
		switch typ {
		case protowire.EndGroupType:
			o.groupEnd = o.groupEnd || num != open
			return i, true
		case protowire.StartGroupType:
			i, ok = o.skipGroup(b, i, num, depth+1)
		case protowire.VarintType:
			_, i, ok = o.varint(b, i)
		case protowire.BytesType:
			var n uint64
			if n, i, ok = o.varint(b, i); ok && n <= uint64(len(b)-i) {
				i += int(n)
			} else {
				ok = false
			}
		default:
			i, ok = skipFixed(typ, b, i)
		}
		if !ok {
			return i, false
		}
	}
	return i, false
}

// ids are the lengths that pdata demands of an id that is not empty.
var ids = map[protoreflect.Name]int{"trace_id": 16, "span_id": 8, "parent_span_id": 8, "profile_id": 16}

func (o *oddities) message(d protoreflect.MessageDescriptor, b []byte, base, depth int, t tables) {
	switch d.Name() {
	case "KeyValue", "AnyValue", "ArrayValue", "KeyValueList":
		depth++
	}
	o.deepValue = o.deepValue || depth > otlp.DefaultDepth
	oneofs := map[protoreflect.Name]int{}
	names := map[protoreflect.Name]bool{}
	o.fields(b, base, func(x field) {
		o.tags = append(o.tags, x.at)
		if x.length > 0 {
			o.lengths = append(o.lengths, x.length)
		}
		fd := d.Fields().ByNumber(x.num)
		if fd == nil {
			o.deprecated = o.deprecated || x.num == 1000 && strings.HasPrefix(string(d.Name()), "Resource")
			return
		}
		if of := fd.ContainingOneof(); of != nil && !of.IsSynthetic() {
			oneofs[of.Name()]++
			o.repeatedOne = o.repeatedOne || oneofs[of.Name()] > 1
		}
		packed := fd.IsList() && wireType(fd) != protowire.BytesType && x.typ == protowire.BytesType
		if x.typ != wireType(fd) && !packed {
			o.mistyped = true
			return
		}
		if n, isID := ids[fd.Name()]; isID && len(x.value) != 0 && len(x.value) != n {
			o.badID = true
		}
		values := []uint64{x.scalar}
		if packed && wireType(fd) == protowire.VarintType {
			values = o.varints(x.value)
		}
		o.index(fd, x, values, t, names)
		if fd.Kind() == protoreflect.MessageKind {
			o.message(fd.Message(), x.value, x.start, depth, t)
		}
	})
}

// varints returns the elements of a packed list.
func (o *oddities) varints(b []byte) (values []uint64) {
	for i := 0; i < len(b); {
		v, next, ok := o.varint(b, i)
		if !ok {
			break
		}
		values, i = append(values, v), next
	}
	return values
}

func wireType(fd protoreflect.FieldDescriptor) protowire.Type {
	switch fd.Kind() {
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return protowire.Fixed64Type
	case protoreflect.Fixed32Kind:
		return protowire.Fixed32Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	}
	return protowire.VarintType
}

// index looks at references into the dictionary. names collects the two ways
// of naming a key that a message uses.
func (o *oddities) index(fd protoreflect.FieldDescriptor, x field, values []uint64, t tables, names map[protoreflect.Name]bool) {
	if t == nil {
		return
	}
	if fd.Name() == "key" && len(x.value) > 0 || fd.Name() == "key_strindex" && int32(x.scalar) != 0 {
		names[fd.Name()] = true
		o.reference = o.reference || names["key"] && names["key_strindex"]
	}
	table := tableOf(string(fd.Name()))
	if table == "" {
		return
	}
	for _, v := range values {
		if uint64(uint32(v)) >= t[table] {
			o.outside = o.outside || uint32(v) != 0
			o.reference = o.reference || fd.Name() == "string_value_strindex"
		}
	}
}

// tableOf returns the table that a field points into by its name, "" if none.
func tableOf(name string) protoreflect.Name {
	switch {
	case strings.HasSuffix(name, "_strindex"):
		return "string_table"
	case strings.HasSuffix(name, "_index"):
		return protoreflect.Name(strings.TrimSuffix(name, "_index") + "_table")
	case strings.HasSuffix(name, "_indices"):
		return protoreflect.Name(strings.TrimSuffix(name, "_indices") + "_table")
	}
	return ""
}
