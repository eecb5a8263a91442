package testkit

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/otlp"
)

func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func TestRequestIsValidAndCounted(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		for seed := range uint64(200) {
			want := int(seed % 40)
			request := Request(rngOf(seed), s, want)
			got, err := otlp.Check(s, request)
			if err != nil || got != want {
				t.Fatalf("%s seed %d: Check says %d items, %v; want %d", s, seed, got, err, want)
			}
			m := NewMessage(s)
			if err := proto.Unmarshal(request, m); err != nil {
				t.Fatalf("%s seed %d: the official module says: %v", s, seed, err)
			}
			if got := countItems(m.ProtoReflect()); got != want {
				t.Fatalf("%s seed %d: the official module sees %d items, want %d", s, seed, got, want)
			}
		}
	}
}

func countItems(m protoreflect.Message) (n int) {
	if itemNames[m.Descriptor().Name()] {
		return 1
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				n += countItems(v.List().Get(i).Message())
			}
		default:
			n += countItems(v.Message())
		}
		return true
	})
	return n
}

func TestRequestIsRepeatable(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		a, b := Request(rngOf(7), s, 20), Request(rngOf(7), s, 20)
		if !bytes.Equal(a, b) {
			t.Errorf("%s: the same seed gave two requests", s)
		}
		if bytes.Equal(a, Request(rngOf(8), s, 20)) {
			t.Errorf("%s: two seeds gave the same request", s)
		}
	}
}

// Everything unusual that Request promises occurs.
func TestRequestIsOdd(t *testing.T) {
	t.Parallel()
	for _, s := range otlp.Signals() {
		seen := map[string]int{}
		for seed := range uint64(250) {
			request := Request(rngOf(seed), s, 8)
			o := odd{profiles: s == otlp.Profiles, seen: seen}
			o.message(NewMessage(s).ProtoReflect().Descriptor(), request, 0)
		}
		want := []string{
			"empty resource", "no resource", "two resources", "two scopes", "long varint", "long tag", "unknown field",
			"group", "scalar twice", "message in parts", "oneof replaced", fmt.Sprintf("depth %d", otlp.DefaultDepth),
		}
		if s == otlp.Metrics || s == otlp.Profiles { // the others have no lists of numbers
			want = append(want, "packed", "unpacked", "list in parts")
		}
		if s == otlp.Profiles {
			want = append(want, "dictionary before", "dictionary after", "dictionary in parts", "no dictionary", "key by reference")
		}
		for _, oddity := range want {
			if seen[oddity] == 0 {
				t.Errorf("%s: missing in 250 requests: %s", s, oddity)
			}
		}
	}
}

// odd records what is unusual about a message's bytes.
type odd struct {
	profiles bool
	seen     map[string]int
}

func (o odd) note(is bool, oddity string) {
	if is {
		o.seen[oddity]++
	}
}

func (o odd) message(md protoreflect.MessageDescriptor, b []byte, depth int) {
	if ofValue(md) {
		depth++
		o.seen[fmt.Sprintf("depth %d", depth)]++
	}
	times := map[protowire.Number]int{}
	oneofs := map[protoreflect.Name]protowire.Number{}
	var order []protowire.Number
	for len(b) > 0 {
		tag, n := protowire.ConsumeVarint(b)
		num, typ := protowire.DecodeTag(tag)
		o.note(n > protowire.SizeVarint(tag), "long tag")
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		value := b[n : n+size]
		b = b[n+size:]
		fd := md.Fields().ByNumber(num)
		o.note(fd == nil, "unknown field")
		o.note(typ == protowire.StartGroupType, "group")
		if typ == protowire.VarintType || typ == protowire.BytesType {
			v, n := protowire.ConsumeVarint(value)
			o.note(n > protowire.SizeVarint(v), "long varint")
		}
		if fd == nil {
			continue
		}
		if od := fd.ContainingOneof(); od != nil && !od.IsSynthetic() {
			o.note(oneofs[od.Name()] != 0 && oneofs[od.Name()] != num, "oneof replaced")
			oneofs[od.Name()] = num
		}
		o.note(fd.IsPacked() && typ == protowire.BytesType, "packed")
		o.note(fd.IsPacked() && typ != protowire.BytesType, "unpacked")
		o.note(fd.IsPacked() && times[num] > 0, "list in parts")
		o.note(!fd.IsList() && fd.Message() == nil && times[num] > 0, "scalar twice")
		o.note(!fd.IsList() && fd.Message() != nil && times[num] > 0, "message in parts")
		o.note(o.profiles && fd.Name() == "key_strindex", "key by reference")
		times[num]++
		order = append(order, num)
		if fd.Message() != nil {
			content, _ := protowire.ConsumeBytes(value)
			o.note(fd.Name() == "resource" && len(content) == 0, "empty resource")
			o.message(fd.Message(), content, depth)
		}
	}
	o.layout(md, times, order)
}

func (o odd) layout(md protoreflect.MessageDescriptor, times map[protowire.Number]int, order []protowire.Number) {
	switch name := string(md.Name()); {
	case strings.HasPrefix(name, "Resource") && name != "Resource":
		o.note(times[1] == 0, "no resource")
		o.note(times[2] > 1, "two scopes")
	case strings.HasPrefix(name, "Export"):
		o.note(times[1] > 1, "two resources")
		if o.profiles {
			o.note(times[2] == 0, "no dictionary")
			o.note(times[2] > 1, "dictionary in parts")
			o.note(times[2] > 0 && times[1] > 0 && order[0] == 2, "dictionary before")
			o.note(times[2] > 0 && times[1] > 0 && order[len(order)-1] == 2, "dictionary after")
		}
	}
}
