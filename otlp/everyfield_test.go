package otlp

import (
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
)

// filler creates messages in which every field is set, and one member of each oneof.
type filler struct {
	n   int // makes values differ
	rng *rand.Rand
}

func (f *filler) message(m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	choice := f.rng.Uint32()
	for i := range fields.Len() {
		d := fields.Get(i)
		if o := d.ContainingOneof(); o != nil && !o.IsSynthetic() && o.Fields().Get(int(choice)%o.Fields().Len()) != d {
			continue
		}
		if d.Kind() == protoreflect.MessageKind && depth == 0 {
			continue
		}
		if !d.IsList() {
			m.Set(d, f.value(d, m.NewField(d), depth))
			continue
		}
		l := m.Mutable(d).List()
		for range 2 {
			l.Append(f.value(d, l.NewElement(), depth))
		}
	}
}

func (f *filler) value(d protoreflect.FieldDescriptor, v protoreflect.Value, depth int) protoreflect.Value {
	f.n++
	switch d.Kind() {
	case protoreflect.MessageKind:
		f.message(v.Message(), depth-1)
		return v
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append([]byte{byte(f.n)}, make([]byte, max(idLengthOf(d), 2)-1)...))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(f.n) + 0.5)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(2)
	case protoreflect.Int32Kind, protoreflect.Sint32Kind:
		return protoreflect.ValueOfInt32(1) // an index that each table has
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(-int64(f.n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(f.n) << 10)
	}
	return protoreflect.ValueOfUint64(uint64(f.n) << 40)
}

// Check accepts a request in which every field of the protocol is set, and every
// getter and Decode return what the official module wrote.
func TestEveryFieldIsRead(t *testing.T) {
	o := newOracle(t)
	for s, d := range o {
		set := map[protoreflect.FullName]bool{}
		f := filler{rng: rand.New(rand.NewPCG(1, 2))}
		for range 16 {
			m := dynamicpb.NewMessage(d)
			f.message(m, 9)
			data, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := Check(s, data); err != nil || n == 0 {
				t.Fatalf("%s: %d items, %v", s, n, err)
			}
			o.compare(t, s, data)
			note(m, set)
		}
		if missing := unset(d, set, map[protoreflect.FullName]bool{}); len(missing) > 0 {
			t.Errorf("%s: never set: %v", s, missing)
		}
	}
}

// note records the fields that are set in m.
func note(m protoreflect.Message, set map[protoreflect.FullName]bool) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		set[f.FullName()] = true
		switch {
		case f.Kind() != protoreflect.MessageKind:
		case f.IsList():
			for i := range v.List().Len() {
				note(v.List().Get(i).Message(), set)
			}
		default:
			note(v.Message(), set)
		}
		return true
	})
}

// unset lists the fields of d, and of the messages inside it, that are not in set.
func unset(d protoreflect.MessageDescriptor, set, seen map[protoreflect.FullName]bool) (missing []protoreflect.FullName) {
	if seen[d.FullName()] {
		return nil
	}
	seen[d.FullName()] = true
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if !set[f.FullName()] {
			missing = append(missing, f.FullName())
		}
		if f.Kind() == protoreflect.MessageKind {
			missing = append(missing, unset(f.Message(), set, seen)...)
		}
	}
	return missing
}
