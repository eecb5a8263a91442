package profile

import (
	"hash/maphash"
	"slices"
	"strings"
	"unicode/utf8"
	"unique"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// table names the tables of a dictionary.
type table int

const (
	tableMapping table = iota
	tableLocation
	tableFunction
	tableLink
	tableString
	tableAttribute
	tableStack
	numTables
)

// dictionary is everything that the samples of a window refer to, once each, in
// the shape that it has on the wire. Entry 0 of each list is the zero value.
//
// Frames come in one shape and go out in another: a frame's type and a mapping's
// build ids become attributes. Two frames that are the same on the wire become
// one location here, so that nothing is twice in what is written.
type dictionary struct {
	seed       maphash.Seed
	strings    list[string]
	attributes list[attribute]
	sets       list[attributeSet]
	mappings   list[mapping]
	functions  list[function]
	locations  list[location]
	links      list[link]
	stacks     stackList

	textBytes int // of strings

	byFrame   frameMap                               // frame → location
	byMapping map[unique.Handle[libpf.Mapping]]int32 // → mappings
	types     map[libpf.FrameType]int32              // → sets, of frames with no other attributes
}

type (
	attribute struct {
		key, unit int32 // in strings
		value     string
	}
	// attributeSet is a list of indices into attributes, 4 bytes each.
	attributeSet string
	mapping      struct {
		start, limit, offset uint64
		filename             int32
		set                  int32
	}
	function struct {
		name, system, filename int32
		startLine              int64
	}
	line struct {
		function     int32
		line, column int64
	}
	location struct {
		mapping int32
		set     int32
		address uint64
		line    line
		// more are the lines that the first one was inlined into, as fields of
		// Lines whose function indices are those of this dictionary.
		more string
	}
	link struct {
		trace [16]byte
		span  [8]byte
	}
)

// list numbers distinct values, beginning with the zero value as 0.
type list[T comparable] struct {
	all   []T
	index index
}

func (l *list[T]) of(seed maphash.Seed, v T) int32 {
	h := maphash.Comparable(seed, v)
	n, ok := l.index.find(h, func(i uint32) bool { return l.all[i] == v })
	if !ok {
		n = l.index.add(h)
		l.all = append(l.all, v)
	}
	return int32(n)
}

// stackList numbers stacks, lists of locations, beginning with the empty one.
type stackList struct {
	secret uint64 // in hashes
	index  index
	bound  []uint32 // stack i is ids[bound[i]:bound[i+1]]
	ids    []int32
}

func (l *stackList) at(i int32) []int32 { return l.ids[l.bound[i]:l.bound[i+1]] }

func (l *stackList) of(ids []int32) int32 {
	h := l.secret ^ uint64(len(ids))
	for _, id := range ids {
		h = mix(h, uint64(id))
	}
	n, ok := l.index.find(h, func(i uint32) bool { return slices.Equal(l.at(int32(i)), ids) })
	if !ok {
		n = l.index.add(h)
		l.ids = append(l.ids, ids...)
		l.bound = append(l.bound, uint32(len(l.ids)))
	}
	return int32(n)
}

// newDictionary returns one with room for so many stacks, of so many frames
// together.
func newDictionary(stacks, frames int) *dictionary {
	d := &dictionary{seed: maphash.MakeSeed(), byMapping: map[unique.Handle[libpf.Mapping]]int32{}, types: map[libpf.FrameType]int32{}}
	d.strings.of(d.seed, "")
	d.attributes.of(d.seed, attribute{})
	d.sets.of(d.seed, "")
	d.mappings.of(d.seed, mapping{})
	d.functions.of(d.seed, function{})
	d.locations.of(d.seed, location{})
	d.links.of(d.seed, link{})
	d.stacks.secret = maphash.Comparable(d.seed, 0)
	d.stacks.ids = make([]int32, 0, frames)
	d.stacks.bound = append(make([]uint32, 0, stacks+2), 0)
	d.stacks.index.room(stacks + 1)
	d.stacks.of(nil)
	return d
}

// text numbers a string. Strings must be UTF-8 (proto3): a strict receiver would
// refuse the whole request for one function's name.
func (d *dictionary) text(s string) int32 {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	before := len(d.strings.all)
	n := d.strings.of(d.seed, s)
	if len(d.strings.all) > before {
		d.textBytes += len(s)
	}
	return n
}

// stack numbers a stack of frames; scratch is memory to work with.
func (d *dictionary) stack(frames libpf.Frames, scratch []int32) (n int32, _ []int32) {
	scratch = scratch[:0]
	for _, f := range frames {
		id, ok := d.byFrame.get(f)
		if !ok && f != (frame{}) { // the zero handle is an unknown frame: location 0
			id = d.location(f.Value())
			d.byFrame.put(f, id)
		}
		scratch = append(scratch, id)
	}
	return d.stacks.of(scratch), scratch
}

// attribute keys of frames, mappings (semantic conventions, "Profiles" and
// "Process").
const (
	keyFrameType  = "profile.frame.type"
	keyGNUBuildID = "process.executable.build_id.gnu"
	keyGoBuildID  = "process.executable.build_id.go"
	keyHTLHash    = "process.executable.build_id.htlhash"
)

func (d *dictionary) location(f libpf.Frame) int32 {
	l := location{address: uint64(f.Address), mapping: d.mapping(f.Mapping), set: d.frameSet(&f), line: d.line(&f)}
	if f.InlinedInto != (frame{}) {
		l.more = d.inlined(f.InlinedInto)
	}
	return d.locations.of(d.seed, l)
}

// frameSet is the attributes of a frame: its type, unless they name one. An unknown type
// is written too: some backends refuse a location without one.
func (d *dictionary) frameSet(f *libpf.Frame) int32 {
	if f.Attributes == "" {
		if set, ok := d.types[f.Type]; ok {
			return set
		}
	}
	set := d.set(libpf.NewAttributes(libpf.StringAttr(keyFrameType, f.Type.Attribute())).With(slices.Collect(f.Attributes.All())...))
	if f.Attributes == "" {
		d.types[f.Type] = set
	}
	return set
}

func (d *dictionary) line(f *libpf.Frame) line {
	l := line{line: lineNumber(f.SourceLine), column: int64(f.SourceColumn)}
	fn := function{name: d.text(f.FunctionName), filename: d.text(f.SourceFile), startLine: lineNumber(f.StartLine)}
	if f.SystemName != f.FunctionName {
		fn.system = d.text(f.SystemName)
	}
	if fn.name != 0 || fn.system != 0 || fn.filename != 0 { // one of them must be there (profiles.proto, Function)
		l.function = d.functions.of(d.seed, fn)
	}
	return l
}

// lineNumber returns n, or 0, unknown, if the wire's int64 has no such number.
func lineNumber(n libpf.SourceLineno) int64 { return max(int64(n), 0) }

// inlined returns the lines from f on as fields. The number of functions on one
// address is bounded, for a chain cannot be checked for sanity otherwise.
func (d *dictionary) inlined(f frame) string {
	const maxLines = 4096
	var e wire.Encoder
	for n := 0; f != (frame{}) && n < maxLines; n++ {
		v := f.Value()
		l := d.line(&v)
		e.Varint(otlpfield.LineFunctionIndex, uint64(l.function))
		e.Varint(otlpfield.LineLine, uint64(l.line))
		e.Varint(otlpfield.LineColumn, uint64(l.column))
		f = v.InlinedInto
	}
	return string(e.Buf)
}

func (d *dictionary) mapping(h unique.Handle[libpf.Mapping]) int32 {
	if h == (unique.Handle[libpf.Mapping]{}) {
		return 0
	}
	if n, ok := d.byMapping[h]; ok {
		return n
	}
	m := h.Value()
	var own []libpf.Attribute
	if m.GNUBuildID != "" {
		own = append(own, libpf.StringAttr(keyGNUBuildID, m.GNUBuildID))
	}
	if m.GoBuildID != "" {
		own = append(own, libpf.StringAttr(keyGoBuildID, m.GoBuildID))
	}
	if m.FileID != (libpf.FileID{}) {
		own = append(own, libpf.StringAttr(keyHTLHash, m.FileID.StringNoQuotes()))
	}
	if m.Start >= m.Limit { // an empty range, which profcheck rejects
		m.Start, m.Limit = 0, 0
	}
	n := d.mappings.of(d.seed, mapping{
		start: m.Start, limit: m.Limit, offset: m.FileOffset, filename: d.text(m.FileName),
		set: d.set(libpf.NewAttributes(append(own, slices.Collect(m.Attributes.All())...)...)),
	})
	d.byMapping[h] = n
	return n
}

func (d *dictionary) link(l link) int32 { return d.links.of(d.seed, l) }

// keyValues takes in the strings of attributes that will be written as references.
func (d *dictionary) keyValues(attributes libpf.Attributes) {
	for a := range attributes.All() {
		d.text(a.Key)
		if text, ok := stringOf(a.Value); ok {
			d.text(text)
		}
	}
}

// stringOf returns the string that an AnyValue is, if it is one.
func stringOf(value string) (text string, ok bool) {
	c := wire.Cursor{Buf: []byte(value)}
	if !c.Next() || c.Num != otlpfield.AnyValueStringValue {
		return "", false
	}
	return string(c.Bytes), true
}

// set numbers a set of attributes.
func (d *dictionary) set(attributes libpf.Attributes) int32 {
	if attributes == "" {
		return 0
	}
	var ids []byte
	for a := range attributes.All() {
		n := uint32(d.attributes.of(d.seed, attribute{key: d.text(a.Key), unit: d.text(a.Unit), value: a.Value}))
		ids = append(ids, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	return d.sets.of(d.seed, attributeSet(ids))
}

func (s attributeSet) at(i int) int32 {
	return int32(s[i]) | int32(s[i+1])<<8 | int32(s[i+2])<<16 | int32(s[i+3])<<24
}
