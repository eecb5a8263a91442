package amplify

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

// A Format is what the inputs of a target are.
type Format struct {
	Name string
	// Signal is the signal of an export request, 0 for other inputs.
	Signal otlp.Signal
	// JSON: the inputs are text.
	JSON bool
	root protoreflect.MessageDescriptor
	// prefix is what a valid input begins with.
	prefix []byte
}

// A Kind is a family of requests: a piece, alone or in messages around it, as often as
// fits.
type Kind struct {
	Format *Format
	// path are the messages from the request to the one that the piece is in.
	path []member
	// level is what is repeated: len(path) is the piece, less is the member of path
	// with what is in it.
	level int
	piece piece
	// siblings are the other pieces of the message.
	siblings []piece
	// amplifier: it is one of Requests; then path and piece are empty.
	amplifier *amplifier
}

// member is a field that holds a message.
type member struct {
	num  protowire.Number
	name string // in JSON
	list bool
}

// piece are bytes that can be repeated: fields on the wire, or members or elements in
// JSON, with what comes before and after all of them.
type piece struct {
	name              string
	open, unit, close string
	sep               string
}

// String describes the kind.
func (k Kind) String() string {
	if k.amplifier != nil {
		return k.Format.Name + ": " + k.amplifier.name
	}
	var b strings.Builder
	for i, m := range k.path {
		if i == k.level {
			b.WriteString("(")
		}
		b.WriteString(m.name + ".")
	}
	if k.level == len(k.path) {
		b.WriteString("(")
	}
	return fmt.Sprintf("%s: %s%s)×n", k.Format.Name, b.String(), k.piece.name)
}

// Request returns a request of about n bytes. It need not be valid.
func (k Kind) Request(n int) []byte {
	if a := k.amplifier; a != nil {
		if k.Format.JSON {
			return otlp.AppendJSON(nil, a.signal, a.body(n))
		}
		return a.body(n)
	}
	if k.Format.JSON {
		return k.text(n)
	}
	body := []byte(k.piece.unit)
	wrap := func(body []byte, path []member) []byte {
		for i := len(path) - 1; i >= 0; i-- {
			body = protowire.AppendBytes(protowire.AppendTag(nil, path[i].num, protowire.BytesType), body)
		}
		return body
	}
	body = wrap(body, k.path[k.level:])
	body = wrap(bytes.Repeat(body, max(1, n/len(body))), k.path[:k.level])
	body = append(slices.Clip(k.Format.prefix), body...)
	if k.Format.Signal == otlp.Profiles && (len(k.path) == 0 || k.path[0].num != dictionaryField) {
		body = append(body, smallDictionary...) // or there is nothing to refer to
	}
	return body
}

const dictionaryField = 2

// smallDictionary has two entries in each table.
var smallDictionary = func() []byte {
	var tables []byte
	for table := protowire.Number(1); table <= 7; table++ {
		for range 2 {
			tables = protowire.AppendBytes(protowire.AppendTag(tables, table, protowire.BytesType), nil)
		}
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, dictionaryField, protowire.BytesType), tables)
}()

// text is Request in JSON.
func (k Kind) text(n int) []byte {
	p := k.piece
	unit := p.unit
	for i := len(k.path) - 1; i >= k.level; i-- {
		if i < len(k.path)-1 {
			unit = k.path[i+1].member(unit)
		} else {
			unit = p.open + unit + p.close
		}
		unit = "{" + unit + "}"
	}
	open, sep, closing := p.open, p.sep, p.close
	if k.level < len(k.path) {
		m := k.path[k.level]
		sep = ","
		if m.list {
			open, closing = `"`+m.name+`":[`, "]"
		} else {
			unit, open, closing = `"`+m.name+`":`+unit, "", ""
		}
	}
	count := max(1, n/(len(unit)+len(sep)))
	body := open + strings.Repeat(unit+sep, count-1) + unit + closing
	for i := k.level - 1; i >= 0; i-- {
		body = k.path[i].member("{" + body + "}")
	}
	return []byte("{" + body + "}")
}

// member returns the field with one value, in JSON.
func (m member) member(value string) string {
	if m.list {
		return `"` + m.name + `":[` + value + `]`
	}
	return `"` + m.name + `":` + value
}

// Formats returns the export requests of the four signals.
func Formats(json bool) (list []*Format) {
	for s, m := range map[otlp.Signal]proto.Message{
		otlp.Traces: &coltraces.ExportTraceServiceRequest{}, otlp.Metrics: &colmetrics.ExportMetricsServiceRequest{},
		otlp.Logs: &collogs.ExportLogsServiceRequest{}, otlp.Profiles: &colprofiles.ExportProfilesServiceRequest{},
	} {
		list = append(list, &Format{Name: s.String(), Signal: s, JSON: json, root: m.ProtoReflect().Descriptor()})
	}
	slices.SortFunc(list, func(a, b *Format) int { return cmp.Compare(a.Signal, b.Signal) })
	return list
}

// Kinds returns each field of each message of the format, with several values, repeated
// at each level, and the amplifiers that are such requests.
func (f *Format) Kinds() []Kind {
	var all []Kind
	for i := range amplifiers {
		if amplifiers[i].signal == f.Signal {
			all = append(all, Kind{Format: f, amplifier: &amplifiers[i]})
		}
	}
	walk(f.root, nil, map[protoreflect.FullName]int{}, func(path []member, m protoreflect.MessageDescriptor) {
		siblings := pieces(m, f.JSON)
		for _, p := range siblings {
			for level := range len(path) + 1 {
				all = append(all, Kind{Format: f, path: path, level: level, piece: p, siblings: siblings})
			}
		}
	})
	return all
}

// walk visits the messages that can be in m, each on one path, and values in values
// also once more.
func walk(m protoreflect.MessageDescriptor, path []member, seen map[protoreflect.FullName]int, visit func([]member, protoreflect.MessageDescriptor)) {
	most := 1
	if m.Name() == "AnyValue" || m.Name() == "KeyValueList" || m.Name() == "ArrayValue" {
		most = 2
	}
	if seen[m.FullName()] >= most {
		return
	}
	seen[m.FullName()]++
	visit(path, m)
	for i := range m.Fields().Len() {
		f := m.Fields().Get(i)
		if f.Kind() == protoreflect.MessageKind {
			next := append(path[:len(path):len(path)], member{f.Number(), f.JSONName(), f.IsList()})
			walk(f.Message(), next, seen, visit)
		}
	}
}

// pieces returns what can be repeated in m.
func pieces(m protoreflect.MessageDescriptor, json bool) (list []piece) {
	for i := range m.Fields().Len() {
		if json {
			list = append(list, jsonPieces(m.Fields().Get(i))...)
		} else {
			list = append(list, wirePieces(m.Fields().Get(i))...)
		}
	}
	if json {
		return append(list, jsonUnknown()...)
	}
	tag := func(num protowire.Number, t protowire.Type) []byte { return protowire.AppendTag(nil, num, t) }
	return append(list,
		piece{name: "unknown varint", unit: string(append(tag(30, protowire.VarintType), 0))},
		piece{name: "unknown bytes", unit: string(append(tag(30, protowire.BytesType), 0))},
		piece{name: "unknown fixed32", unit: string(append(tag(30, protowire.Fixed32Type), 0, 0, 0, 0))},
		piece{name: "unknown, large", unit: string(protowire.AppendVarint(tag(1<<28, protowire.VarintType), math.MaxUint64))})
}

var (
	strs = []string{"", "a", "\x01", "\n", `"`, "\xff", "é", "日", "😀", strings.Repeat("a", 15), strings.Repeat("\x01", 15),
		strings.Repeat("\xff", 40), strings.Repeat("é", 40), strings.Repeat(`a"`, 40)}
	ints    = []uint64{0, 1, 127, 1 << 20, math.MaxInt64, math.MaxUint64}
	doubles = []float64{0, 1, 0.1, 1.0 / 3, 5e-324, 2.2250738585072011e-308, 1e-310, math.MaxFloat64, 1e22, 123456789.125, math.NaN(), math.Inf(-1), -math.Pi * 1e-200}
)

// wirePieces returns values of a field on the wire.
func wirePieces(f protoreflect.FieldDescriptor) (list []piece) {
	add := func(what string, b []byte) {
		list = append(list, piece{name: fmt.Sprintf("%s %s", f.Name(), what), unit: string(b)})
	}
	tag := func(t protowire.Type) []byte { return protowire.AppendTag(nil, f.Number(), t) }
	block := func(what string, b []byte) { add(what, protowire.AppendBytes(tag(protowire.BytesType), b)) }
	switch f.Kind() {
	case protoreflect.MessageKind:
		block("empty", nil)
		add("empty, long length", append(tag(protowire.BytesType), 0x80, 0x80, 0x80, 0x80, 0))
	case protoreflect.StringKind, protoreflect.BytesKind:
		for _, s := range strs {
			block(fmt.Sprintf("%.12q", s), []byte(s))
		}
	case protoreflect.DoubleKind, protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind:
		for _, d := range doubles {
			v := protowire.AppendFixed64(nil, math.Float64bits(d))
			add(fmt.Sprint(d), append(tag(protowire.Fixed64Type), v...))
			if f.IsList() {
				block(fmt.Sprint(d, "×40"), bytes.Repeat(v, 40))
			}
		}
	case protoreflect.Fixed32Kind:
		add("0", protowire.AppendFixed32(tag(protowire.Fixed32Type), 0))
	default:
		for _, i := range ints {
			v := protowire.AppendVarint(nil, i)
			add(fmt.Sprint(i), append(tag(protowire.VarintType), v...))
			if f.IsList() {
				block(fmt.Sprint(i, "×40"), bytes.Repeat(v, 40))
			}
		}
	}
	return list
}
