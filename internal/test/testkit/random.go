package testkit

import (
	"bytes"
	"math/rand"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

// RandomWords are few, so that the keys and values of random requests meet a test's
// configuration, and each other.
var RandomWords = []string{"", "a", "b", "c", "host.ip", "host.name", "service.name"}

// Random makes requests with all fields of OTLP, and of the wire format what encoders
// rarely write: fields in another order, unknown fields, messages in two parts, lengths
// longer than need be.
type Random struct {
	*rand.Rand
	// Tables is the number of entries of every dictionary table, and what indices stay
	// below.
	Tables int
	// Words are the strings; nil means RandomWords.
	Words []string
}

// NewRandom returns a Random for a seed.
func NewRandom(seed int64) Random {
	return Random{Rand: rand.New(rand.NewSource(seed)), Tables: int(seed % 9)}
}

// Request returns a request that passes otlp.Check.
func (r Random) Request(s otlp.Signal) []byte {
	if r.Words == nil {
		r.Words = RandomWords
	}
	m := NewMessage(s)
	r.fill(m.ProtoReflect(), 0)
	b, err := proto.Marshal(m)
	if err != nil {
		panic(err)
	}
	return r.mangle(b, 0)
}

func (r Random) fill(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	members := map[protoreflect.OneofDescriptor]int{} // the one to set
	for i := range fields.Len() {
		f := fields.Get(i)
		if o := f.ContainingOneof(); o != nil {
			if _, chosen := members[o]; !chosen {
				members[o] = r.Intn(o.Fields().Len())
			}
			if o.Fields().Get(members[o]) != f {
				continue
			}
		}
		name := string(f.Name())
		table := strings.HasSuffix(name, "_table")
		if r.Intn(4) == 0 && !table && name != "dictionary" {
			continue
		}
		switch {
		case f.IsList():
			n := r.Intn(4)
			if table {
				n = r.Tables
			}
			for range n {
				r.element(m, f, depth)
			}
		case f.Message() != nil:
			if depth < 9 {
				r.fill(m.Mutable(f).Message(), depth+1)
			}
		default:
			m.Set(f, r.scalar(f))
		}
	}
}

func (r Random) element(m protoreflect.Message, f protoreflect.FieldDescriptor, depth int) {
	l := m.Mutable(f).List()
	if f.Message() == nil {
		l.Append(r.scalar(f))
	} else if depth < 9 {
		r.fill(l.AppendMutable().Message(), depth+1)
	}
}

func (r Random) scalar(f protoreflect.FieldDescriptor) protoreflect.Value {
	name := string(f.Name())
	switch f.Kind() {
	case protoreflect.StringKind:
		if name == "key" && r.Tables > 1 && r.Intn(2) == 0 {
			return protoreflect.ValueOfString("") // leaves it to key_strindex
		}
		return protoreflect.ValueOfString(r.Words[r.Intn(len(r.Words))])
	case protoreflect.BytesKind:
		if n := map[string]int{"trace_id": 16, "profile_id": 16, "span_id": 8, "parent_span_id": 8}[name]; n > 0 {
			return protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(r.Intn(256))}, n*r.Intn(2)))
		}
		return protoreflect.ValueOfBytes([]byte(r.Words[r.Intn(len(r.Words))]))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.Intn(2) == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(r.Intn(3)))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(r.NormFloat64())
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		if strings.HasSuffix(name, "index") || strings.HasSuffix(name, "indices") {
			return protoreflect.ValueOfInt32(int32(r.Intn(max(r.Tables, 1))))
		}
		return protoreflect.ValueOfInt32(r.Int31() - 1<<30)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(r.Int63() - 1<<62)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(r.Uint32())
	}
	return protoreflect.ValueOfUint64(r.Uint64())
}

// Levels that mangle knows: a request, a ResourceX in it, its resource, an
// attribute of that. Field 1 of each but the last is the next.
const (
	levelRequest = iota
	levelResourceX
	levelResource
	levelKeyValue
)

// mangle writes a message otherwise: fields in another order, fields that nobody
// knows, a resource in two parts, lengths longer than need be.
func (r Random) mangle(b []byte, level int) []byte {
	var fields [][]byte
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeField(b)
		field := b[:n]
		b = b[n:]
		if num != 1 || typ != protowire.BytesType || level == levelKeyValue {
			fields = append(fields, field)
			continue
		}
		_, _, tag := protowire.ConsumeTag(field)
		content, _ := protowire.ConsumeBytes(field[tag:])
		content = r.mangle(content, level+1)
		if cut, ok := r.cut(content); ok && level == levelResourceX {
			fields = append(fields, r.field(content[:cut]))
			content = content[cut:]
		}
		fields = append(fields, r.field(content))
	}
	for range r.Intn(3) {
		fields = append(fields, r.unknown())
	}
	if r.Intn(2) == 0 {
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
	}
	var out []byte
	for _, f := range fields {
		out = append(out, f...)
	}
	return out
}

// field writes field 1, now and then with a length of three bytes.
func (r Random) field(content []byte) []byte {
	f := protowire.AppendTag(nil, 1, protowire.BytesType)
	if n := len(content); r.Intn(4) == 0 && n < 1<<14 {
		f = append(f, byte(n)|0x80, byte(n>>7)|0x80, 0)
		return append(f, content...)
	}
	return protowire.AppendBytes(f, content)
}

// cut returns a place between two fields.
func (r Random) cut(b []byte) (int, bool) {
	if r.Intn(3) != 0 {
		return 0, false
	}
	i := 0
	for i < len(b) && r.Intn(3) != 0 {
		_, _, n := protowire.ConsumeField(b[i:])
		i += n
	}
	return i, true
}

func (r Random) unknown() []byte {
	num := protowire.Number(100 + r.Intn(1000))
	switch r.Intn(5) {
	case 0:
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), r.Uint64())
	case 1:
		return protowire.AppendFixed32(protowire.AppendTag(nil, num, protowire.Fixed32Type), r.Uint32())
	case 2:
		return protowire.AppendFixed64(protowire.AppendTag(nil, num, protowire.Fixed64Type), r.Uint64())
	case 3:
		b := protowire.AppendTag(nil, num, protowire.StartGroupType)
		b = protowire.AppendVarint(protowire.AppendTag(b, 1, protowire.VarintType), 7)
		return protowire.AppendTag(b, num, protowire.EndGroupType)
	}
	return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), "unknown")
}
