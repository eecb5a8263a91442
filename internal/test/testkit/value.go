package testkit

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

// anyValue writes a value that is the depth-th of the messages of values that are
// nested in each other.
func (g *generator) anyValue(md protoreflect.MessageDescriptor, depth int) []chunk {
	if g.deepChain {
		g.deepChain = false
		return g.chain(md, depth)
	}
	od := md.Oneofs().ByName("value")
	var members []protoreflect.FieldDescriptor
	for i := range od.Fields().Len() {
		fd := od.Fields().Get(i)
		// Arrays and maps have two or three members, scalars have one: fewer arrays
		// and maps keep the request small.
		if fd.Message() == nil || depth+3 <= otlp.DefaultDepth && g.oneIn(2) {
			members = append(members, fd)
		}
	}
	var out []chunk
	if !g.oneIn(16) { // else an empty value
		out = g.member(members[g.rng.IntN(len(members))], 0, depth)
	}
	if g.oneIn(16) { // this one replaces the other, or is merged with it
		out = append(out, g.member(members[g.rng.IntN(len(members))], 0, depth)...)
	}
	if g.unknown && g.oneIn(8) {
		out = g.arrange([][]chunk{out, g.unknownFields(md)})
	}
	return out
}

// chain nests arrays and maps down to the deepest level allowed.
func (g *generator) chain(md protoreflect.MessageDescriptor, depth int) []chunk {
	fields := md.Fields()
	left := otlp.DefaultDepth - depth // 2 for an array, 3 for a map
	if left < 2 {
		return []chunk{g.scalar(fields.ByName("int_value"))}
	}
	if left == 2 || left == 4 || left != 3 && g.oneIn(2) {
		inside := bytes.Join(g.chain(md, depth+2), nil)
		array := fields.ByName("array_value")
		values := array.Message().Fields().ByName("values")
		return []chunk{g.wrap(array, g.wrap(values, inside))}
	}
	inside := bytes.Join(g.chain(md, depth+3), nil)
	list := fields.ByName("kvlist_value")
	values := list.Message().Fields().ByName("values")
	return []chunk{g.wrap(list, g.wrap(values, g.wrap(values.Message().Fields().ByName("value"), inside)))}
}

// scalars writes a list of numbers, strings or bytes.
func (g *generator) scalars(fd protoreflect.FieldDescriptor) (out []chunk) {
	n := g.rng.IntN(6)
	if !fd.IsPacked() {
		for range n {
			out = append(out, g.scalar(fd))
		}
		return out
	}
	for n > 0 { // in parts, each of them packed or not
		part := 1 + g.rng.IntN(n)
		n -= part
		if g.oneIn(3) {
			for range part {
				out = append(out, g.scalar(fd))
			}
			continue
		}
		var packed []byte
		for range part {
			packed = g.bare(packed, fd)
		}
		out = append(out, g.wrap(fd, packed))
	}
	if g.oneIn(8) {
		out = append(out, g.wrap(fd, nil)) // packed, and nothing in it
	}
	return out
}

// scalar writes one field that is not a message.
func (g *generator) scalar(fd protoreflect.FieldDescriptor) chunk {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return g.wrap(fd, []byte(g.text(fd)))
	case protoreflect.BytesKind:
		return g.wrap(fd, g.bytes(fd))
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return g.bare(g.tag(nil, fd.Number(), protowire.Fixed64Type), fd)
	case protoreflect.Fixed32Kind:
		return g.bare(g.tag(nil, fd.Number(), protowire.Fixed32Type), fd)
	}
	return g.bare(g.tag(nil, fd.Number(), protowire.VarintType), fd)
}

// bare appends a number without its tag.
func (g *generator) bare(b []byte, fd protoreflect.FieldDescriptor) []byte {
	switch fd.Kind() {
	case protoreflect.DoubleKind:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(g.double()))
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		return binary.LittleEndian.AppendUint64(b, g.integer())
	case protoreflect.Fixed32Kind:
		return binary.LittleEndian.AppendUint32(b, uint32(g.integer()))
	case protoreflect.BoolKind:
		return g.varint(b, uint64(g.rng.IntN(2)), 10)
	case protoreflect.EnumKind:
		if g.oneIn(16) {
			return g.varint(b, uint64(100+g.rng.IntN(100)), 10) // enums are open
		}
		values := fd.Enum().Values()
		return g.varint(b, uint64(values.Get(g.rng.IntN(values.Len())).Number()), 10)
	case protoreflect.Int32Kind:
		if table := tableOf(string(fd.Name())); table != "" {
			return g.varint(b, uint64(g.index(table)), 10)
		}
		return g.varint(b, uint64(int64(int32(g.integer()))), 10)
	case protoreflect.Sint32Kind, protoreflect.Uint32Kind:
		return g.varint(b, uint64(uint32(g.integer())), 10)
	case protoreflect.Int64Kind, protoreflect.Uint64Kind:
		return g.varint(b, g.integer(), 10)
	}
	panic(fmt.Sprintf("testkit: field %s is of kind %s, which this generator does not know", fd.FullName(), fd.Kind()))
}

// index returns a reference into table. It has no meaning outside profiles.
func (g *generator) index(table protoreflect.Name) int {
	if !g.profiles {
		return g.rng.IntN(1000)
	}
	return g.rng.IntN(max(g.tables[table], 1))
}

func (g *generator) integer() uint64 {
	switch g.rng.IntN(4) {
	case 0:
		return uint64(g.rng.IntN(3))
	case 1:
		return 1_700_000_000_000_000_000 + g.rng.Uint64N(1e15) // a time
	case 2:
		return g.rng.Uint64() // half of these are negative
	}
	return g.rng.Uint64N(1000)
}

func (g *generator) double() float64 {
	special := [...]float64{0, math.Copysign(0, -1), 1, math.Inf(1), math.Inf(-1), math.NaN(), math.MaxFloat64, math.SmallestNonzeroFloat64}
	if i := g.rng.IntN(4 * len(special)); i < len(special) {
		return special[i]
	}
	return g.rng.NormFloat64() * 1e3
}

// idBytes are the lengths of ids (trace.proto, profiles.proto); empty is none.
var idBytes = map[protoreflect.Name]int{"trace_id": 16, "profile_id": 16, "span_id": 8, "parent_span_id": 8}

func (g *generator) bytes(fd protoreflect.FieldDescriptor) []byte {
	n, isID := idBytes[fd.Name()]
	switch {
	case !isID:
		n = g.rng.IntN(20)
	case g.oneIn(4):
		n = 0
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(1 + g.rng.IntN(255)) // an id of zeros alone would be invalid
	}
	return b
}

func (g *generator) text(fd protoreflect.FieldDescriptor) string {
	if fd.Name() == "key" {
		return g.key()
	}
	words := [...]string{"", "GET /api/{id}", "zażółć gęślą", "日本語", "\x00", `"quoted\"`, "line\nbreak", "🦆", "<a&b>", "x"}
	s := words[g.rng.IntN(len(words))]
	if g.oneIn(16) { // too long for a length of one byte
		s = strings.Repeat(s+".", 1+g.rng.IntN(300))
	}
	return s
}

// key returns a text that is not yet a key in this request.
func (g *generator) key() string {
	words := [...]string{"service.name", "k8s.pod.name", "http.route", "schlüssel", "a"}
	g.keys++
	return fmt.Sprintf("%s.%d", words[g.keys%len(words)], g.keys)
}

// unknownFields writes fields whose numbers md does not define.
func (g *generator) unknownFields(md protoreflect.MessageDescriptor) (out []chunk) {
	for range 1 + g.rng.IntN(2) {
		numbers := [...]protowire.Number{14, 17, 31, 32, 200, 1000, 2047, 2048, protowire.MaxValidNumber}
		if num := numbers[g.rng.IntN(len(numbers))]; md.Fields().ByNumber(num) == nil {
			out = append(out, g.unknownField(num, 0))
		}
	}
	return out
}

func (g *generator) unknownField(num protowire.Number, depth int) chunk {
	switch g.rng.IntN(5) {
	case 0:
		return g.varint(g.tag(nil, num, protowire.VarintType), g.integer(), 10)
	case 1:
		return protowire.AppendFixed32(g.tag(nil, num, protowire.Fixed32Type), uint32(g.integer()))
	case 2:
		return protowire.AppendFixed64(g.tag(nil, num, protowire.Fixed64Type), g.integer())
	case 3:
		b := g.tag(nil, num, protowire.StartGroupType)
		for depth < 3 && g.oneIn(2) {
			b = append(b, g.unknownField(protowire.Number(1+g.rng.IntN(40)), depth+1)...)
		}
		return g.tag(b, num, protowire.EndGroupType)
	}
	content := "\xff\xfenot a message"
	return append(g.varint(g.tag(nil, num, protowire.BytesType), uint64(len(content)), 10), content...)
}

// tag appends a field's tag. Some decoders read five bytes and no more.
func (g *generator) tag(b []byte, num protowire.Number, t protowire.Type) []byte {
	return g.varint(b, protowire.EncodeTag(num, t), 5)
}

// varint appends v, at times in more bytes than necessary, at most maxBytes.
func (g *generator) varint(b []byte, v uint64, maxBytes int) []byte {
	start := len(b)
	b = protowire.AppendVarint(b, v)
	if !g.longVarint || !g.oneIn(16) {
		return b
	}
	for more := 1 + g.rng.IntN(3); more > 0 && len(b)-start < maxBytes; more-- {
		b[len(b)-1] |= 0x80
		b = append(b, 0)
	}
	return b
}
