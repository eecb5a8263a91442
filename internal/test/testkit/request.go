package testkit

import (
	"bytes"
	"math/rand/v2"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

// Request returns a random export request of signal s that is valid and holds
// items items. The same state of rng gives the same bytes.
//
// Valid means that Check and the official module accept it, that trace, span and
// profile ids have the right length, and that there is a key or a reference to one,
// not both. Apart from that it is unusual, some requests in more ways than others:
// messages empty or missing; several resources and scopes, with and without items;
// values nested to otlp.DefaultDepth; unknown fields in every message, of every wire
// type; packed and unpacked lists, and lists in parts; singular fields twice and
// messages in parts; members of a oneof that a later one replaces; fields in any
// order, so that the dictionary of profiles comes before, after, or in parts; tags,
// lengths and numbers in more bytes than necessary.
func Request(rng *rand.Rand, s otlp.Signal, items int) []byte {
	g := &generator{
		rng:        rng,
		profiles:   s.Spec().HasDictionary,
		tables:     map[protoreflect.Name]int{},
		leading:    map[protoreflect.FullName]bool{},
		unknown:    rng.IntN(2) == 0,
		interleave: rng.IntN(2) == 0,
		longVarint: rng.IntN(2) == 0,
		deepChain:  rng.IntN(8) == 0,
	}
	if g.profiles && rng.IntN(8) != 0 {
		for _, table := range tableNames {
			g.tables[table] = rng.IntN(12)
		}
	}
	return bytes.Join(g.message(NewMessage(s).ProtoReflect().Descriptor(), items, 0), nil)
}

// itemNames are the messages that are counted.
var itemNames = map[protoreflect.Name]bool{
	"Span": true, "LogRecord": true, "Sample": true, "NumberDataPoint": true, "HistogramDataPoint": true,
	"ExponentialHistogramDataPoint": true, "SummaryDataPoint": true,
}

// tableNames are the fields of ProfilesDictionary.
var tableNames = []protoreflect.Name{
	"mapping_table", "location_table", "function_table", "link_table", "string_table", "attribute_table", "stack_table",
}

// tableOf returns the table that the field called name points into, "" if none.
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

// generator writes one request by the descriptors of its messages.
type generator struct {
	rng      *rand.Rand
	profiles bool
	tables   map[protoreflect.Name]int // how many entries each table has
	leading  map[protoreflect.FullName]bool
	keys     int // attribute keys so far

	// What is unusual about this request.
	unknown, interleave, longVarint bool
	deepChain                       bool // still to be written
}

// oneIn is true once in n times.
func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

// chunk is one field, tag included.
type chunk = []byte

// ofValue reports whether values consist of such messages.
func ofValue(md protoreflect.MessageDescriptor) bool {
	switch md.Name() {
	case "KeyValue", "AnyValue", "ArrayValue", "KeyValueList":
		return true
	}
	return false
}

// message returns the fields of a message of type md that holds items items,
// below depth messages of values.
func (g *generator) message(md protoreflect.MessageDescriptor, items, depth int) []chunk {
	if md.Name() == "AnyValue" {
		return g.anyValue(md, depth+1)
	}
	if ofValue(md) {
		depth++
	}
	var lists [][]chunk
	skip := g.eitherKey(md)
	for i := range md.Fields().Len() {
		fd := md.Fields().Get(i)
		od := fd.ContainingOneof()
		switch {
		case fd.Name() == skip:
		case od == nil || od.IsSynthetic():
			lists = append(lists, g.field(fd, items, depth))
		case od.Fields().Get(0) == fd:
			lists = append(lists, g.oneof(od, items, depth))
		}
	}
	if g.unknown && g.oneIn(4) {
		lists = append(lists, g.unknownFields(md))
	}
	return g.arrange(lists)
}

// eitherKey returns which of key and key_strindex to leave out: they exclude
// each other (common.proto, KeyValue).
func (g *generator) eitherKey(md protoreflect.MessageDescriptor) protoreflect.Name {
	switch {
	case md.Name() != "KeyValue":
		return ""
	case g.profiles && g.oneIn(2) || g.oneIn(16):
		return "key"
	}
	return "key_strindex"
}

// arrange lays the fields in a row. Those of one list keep their order.
func (g *generator) arrange(lists [][]chunk) (out []chunk) {
	left := 0
	for _, l := range lists {
		left += len(l)
	}
	if !g.interleave {
		for _, l := range lists {
			out = append(out, l...)
		}
		return out
	}
	for ; left > 0; left-- {
		// Choosing a list in proportion to what it has left makes all orders equally
		// likely.
		n := g.rng.IntN(left)
		for i, l := range lists {
			if n -= len(l); n < 0 {
				out, lists[i] = append(out, l[0]), l[1:]
				break
			}
		}
	}
	return out
}

func (g *generator) field(fd protoreflect.FieldDescriptor, items, depth int) []chunk {
	md := fd.Message()
	switch {
	case fd.Parent().Name() == "ProfilesDictionary":
		return g.table(fd, depth)
	case fd.IsList() && md != nil:
		var out []chunk
		for _, share := range g.shares(md, items) {
			out = append(out, g.wrap(fd, bytes.Join(g.message(md, share, depth), nil)))
		}
		return out
	case fd.IsList():
		return g.scalars(fd)
	case md != nil:
		return g.singular(fd, items, depth)
	case g.oneIn(3):
		return nil
	}
	out := []chunk{g.scalar(fd)}
	if g.oneIn(16) {
		out = append(out, g.scalar(fd)) // the last one wins
	}
	return out
}

// singular writes a message field, at times in parts, which merge.
func (g *generator) singular(fd protoreflect.FieldDescriptor, items, depth int) []chunk {
	md := fd.Message()
	switch {
	case items > 0 && g.leads(md):
	case md.Name() == "ProfilesDictionary":
		if len(g.tables) == 0 {
			return nil
		}
	case g.oneIn(4):
		return nil
	}
	fields := g.message(md, items, depth)
	if len(fields) > 1 && (g.oneIn(16) || md.Name() == "ProfilesDictionary" && g.oneIn(3)) {
		cut := 1 + g.rng.IntN(len(fields)-1)
		return []chunk{g.wrap(fd, bytes.Join(fields[:cut], nil)), g.wrap(fd, bytes.Join(fields[cut:], nil))}
	}
	return []chunk{g.wrap(fd, bytes.Join(fields, nil))}
}

// oneof writes one member, and at times another before it, which has no effect.
func (g *generator) oneof(od protoreflect.OneofDescriptor, items, depth int) (out []chunk) {
	if items == 0 && g.oneIn(4) {
		return nil
	}
	n := od.Fields().Len()
	chosen := g.rng.IntN(n)
	if g.oneIn(8) {
		if decoy := g.rng.IntN(n); decoy != chosen {
			out = g.member(od.Fields().Get(decoy), g.rng.IntN(3), depth)
		}
	}
	return append(out, g.member(od.Fields().Get(chosen), items, depth)...)
}

func (g *generator) member(fd protoreflect.FieldDescriptor, items, depth int) []chunk {
	if fd.Message() == nil {
		return []chunk{g.scalar(fd)}
	}
	if out := g.singular(fd, items, depth); out != nil {
		return out
	}
	return []chunk{g.wrap(fd, nil)}
}

// table writes a table of the dictionary. Entry 0 is the zero value
// (profiles.proto, ProfilesDictionary).
func (g *generator) table(fd protoreflect.FieldDescriptor, depth int) (out []chunk) {
	for i := range g.tables[fd.Name()] {
		switch {
		case i == 0:
			out = append(out, g.wrap(fd, nil))
		case fd.Message() != nil:
			out = append(out, g.wrap(fd, bytes.Join(g.message(fd.Message(), 0, depth), nil)))
		default:
			out = append(out, g.wrap(fd, []byte(g.key())))
		}
	}
	return out
}

// shares says how many elements a list of md gets, and how many items go into
// each.
func (g *generator) shares(md protoreflect.MessageDescriptor, items int) []int {
	if itemNames[md.Name()] {
		return make([]int, items) // they are items, and hold none
	}
	if items == 0 || !g.leads(md) {
		n := 0
		for n < 3 && g.oneIn(2) {
			n++
		}
		return make([]int, n)
	}
	shares := make([]int, 1+g.rng.IntN(min(items, 4)))
	for left := items; left > 0; {
		n := 1 + g.rng.IntN(left)
		shares[g.rng.IntN(len(shares))] += n
		left -= n
	}
	return shares
}

// leads reports whether messages of type md may hold items.
func (g *generator) leads(md protoreflect.MessageDescriptor) bool {
	known, ok := g.leading[md.FullName()]
	if ok {
		return known
	}
	g.leading[md.FullName()] = false // ends the recursion
	for i := range md.Fields().Len() {
		if m := md.Fields().Get(i).Message(); m != nil && (itemNames[m.Name()] || g.leads(m)) {
			g.leading[md.FullName()] = true
		}
	}
	return g.leading[md.FullName()]
}

// wrap writes a length-delimited field.
func (g *generator) wrap(fd protoreflect.FieldDescriptor, content []byte) chunk {
	b := g.tag(nil, fd.Number(), protowire.BytesType)
	b = g.varint(b, uint64(len(content)), 10)
	return append(b, content...)
}
