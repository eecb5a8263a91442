package libpf_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/penstock-telemetry/penstock/libpf"
)

func stringValue(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

func intValue(n int64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: n}}
}

func boolValue(b bool) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: b}}
}

func doubleValue(v float64) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
}

func arrayValue(values ...*commonpb.AnyValue) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: values}}}
}

// The official module decodes the values of a set.
func TestAttributeValues(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 100)
	for _, c := range []struct {
		attribute libpf.Attribute
		want      *commonpb.AnyValue
	}{
		{libpf.StringAttr("k", "value"), stringValue("value")},
		{libpf.StringAttr("k", ""), stringValue("")},
		{libpf.StringAttr("k", long), stringValue(long)},
		{libpf.StringAttr("k", "not \xff\xfeUTF-8"), stringValue("not \uFFFDUTF-8")},
		{libpf.IntAttr("k", 0), intValue(0)},
		{libpf.IntAttr("k", -1), intValue(-1)},
		{libpf.IntAttr("k", math.MaxInt64), intValue(math.MaxInt64)},
		{libpf.IntAttr("k", math.MinInt64), intValue(math.MinInt64)},
		{libpf.BoolAttr("k", true), boolValue(true)},
		{libpf.BoolAttr("k", false), boolValue(false)},
		{libpf.DoubleAttr("k", 0), doubleValue(0)},
		{libpf.DoubleAttr("k", -2.5), doubleValue(-2.5)},
		{libpf.DoubleAttr("k", math.Inf(1)), doubleValue(math.Inf(1))},
		{libpf.StringsAttr("k"), arrayValue()},
		{libpf.StringsAttr("k", "a", "", "\xff"), arrayValue(stringValue("a"), stringValue(""), stringValue("\uFFFD"))},
		{libpf.StringsAttr("k", long, long), arrayValue(stringValue(long), stringValue(long))},
		{libpf.IntsAttr("k", 1, 0, -1), arrayValue(intValue(1), intValue(0), intValue(-1))},
		{libpf.Attribute{Key: "k"}, &commonpb.AnyValue{}},
	} {
		set := slices.Collect(libpf.NewAttributes(c.attribute.In("By")).All())
		if len(set) != 1 || set[0].Key != "k" || set[0].Unit != "By" {
			t.Errorf("%v: the set holds %q", c.want, set)
			continue
		}
		got := &commonpb.AnyValue{}
		if err := proto.Unmarshal([]byte(set[0].Value), got); err != nil {
			t.Errorf("%v: %v", c.want, err)
		} else if diff := cmp.Diff(c.want, got, protocmp.Transform()); diff != "" {
			t.Errorf("-want +got: %s", diff)
		}
	}
}

func keysOf(s libpf.Attributes) string {
	var keys []string
	for a := range s.All() {
		keys = append(keys, a.Key+"="+a.Unit)
	}
	return strings.Join(keys, " ")
}

func TestNewAttributes(t *testing.T) {
	t.Parallel()
	attr := func(key, unit string) libpf.Attribute { return libpf.IntAttr(key, 1).In(unit) }
	for _, c := range []struct {
		name string
		list []libpf.Attribute
		want string
	}{
		{"none", nil, ""},
		{"sorted by key", []libpf.Attribute{attr("b", ""), attr("c", ""), attr("a", "")}, "a= b= c="},
		{"the last of equal keys counts", []libpf.Attribute{attr("b", "1"), attr("a", "1"), attr("b", "2"), attr("b", "3")}, "a=1 b=3"},
		{"no key", []libpf.Attribute{attr("", "1"), attr("a", "1"), attr("", "2")}, "a=1"},
		{"keys are bytes", []libpf.Attribute{attr("é", ""), attr("z", ""), attr("Z", "")}, "Z= z= é="},
		{"keys and units that are not UTF-8", []libpf.Attribute{attr("a\xff", "1"), attr("a\uFFFD", "\xfe")}, "a\uFFFD=\uFFFD"},
	} {
		before := slices.Clone(c.list)
		set := libpf.NewAttributes(c.list...)
		if got := keysOf(set); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		if !slices.Equal(before, c.list) {
			t.Errorf("%s: the caller's list was changed to %q", c.name, c.list)
		}
		if again := libpf.NewAttributes(slices.Collect(set.All())...); again != set {
			t.Errorf("%s: a set of what is in the set is %q, not %q", c.name, again, set)
		}
	}
	many := make([]libpf.Attribute, 200) // enough for a sort to lose the order of equal keys
	for i := range many {
		many[i] = libpf.IntAttr(string(rune('a'+i%3)), int64(i))
	}
	if got, want := libpf.NewAttributes(many...), libpf.NewAttributes(many[197:]...); got != want {
		t.Errorf("of 200 attributes with 3 keys the last are not those that count: %q, want %q", got, want)
	}
	if libpf.NewAttributes() != "" || libpf.NewAttributes(libpf.IntAttr("", 1)) != "" {
		t.Error("the empty set is not the zero value")
	}
}

// Sets are equal if and only if they have the same attributes, in any order.
func TestAttributesAreEqual(t *testing.T) {
	t.Parallel()
	list := []libpf.Attribute{
		libpf.StringAttr("s", "1"), libpf.IntAttr("i", 1), libpf.BoolAttr("b", true),
		libpf.IntsAttr("is", 1, 2), libpf.StringsAttr("ss", "1", "2").In("1"), libpf.DoubleAttr("d", 1),
	}
	want := libpf.NewAttributes(list...)
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		if libpf.NewAttributes(list...) != want {
			t.Fatalf("another order is another set: %q", list)
		}
	}
	for _, c := range [][2]libpf.Attribute{
		{libpf.StringAttr("k", "1"), libpf.IntAttr("k", 1)},
		{libpf.IntAttr("k", 1), libpf.BoolAttr("k", true)},
		{libpf.IntAttr("k", 1), libpf.IntAttr("k", 1).In("s")},
		{libpf.IntAttr("k", 1), libpf.IntsAttr("k", 1)},
		{libpf.StringsAttr("k", "ab"), libpf.StringsAttr("k", "a", "b")},
		{libpf.StringAttr("k", ""), {Key: "k"}},
		{libpf.StringAttr("a", "b_c"), libpf.StringAttr("a_b", "c")},
	} {
		if libpf.NewAttributes(c[0]) == libpf.NewAttributes(c[1]) {
			t.Errorf("%q and %q are the same set", c[0], c[1])
		}
	}
}

func TestAttributesWith(t *testing.T) {
	t.Parallel()
	set := libpf.NewAttributes(libpf.IntAttr("a", 1), libpf.IntAttr("b", 1))
	before := strings.Clone(string(set))
	got := set.With(libpf.IntAttr("b", 2), libpf.IntAttr("c", 2))
	if want := libpf.NewAttributes(libpf.IntAttr("a", 1), libpf.IntAttr("b", 2), libpf.IntAttr("c", 2)); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if set.With() != set || libpf.Attributes("").With(libpf.IntAttr("a", 1)) != libpf.NewAttributes(libpf.IntAttr("a", 1)) {
		t.Error("with nothing, or to nothing")
	}
	if string(set) != before {
		t.Errorf("the set changed to %q", set)
	}
}

func TestAllStopsEarly(t *testing.T) {
	t.Parallel()
	set := libpf.NewAttributes(libpf.IntAttr("a", 1), libpf.IntAttr("b", 1), libpf.IntAttr("c", 1))
	seen := 0
	for a := range set.All() {
		if seen++; a.Key == "b" {
			break
		}
	}
	if seen != 2 {
		t.Errorf("saw %d attributes, want 2", seen)
	}
}

// All returns substrings of the set, not copies.
func TestAllReturnsParts(t *testing.T) {
	t.Parallel()
	set := libpf.NewAttributes(libpf.StringAttr("key", "value").In("unit"), libpf.StringAttr("other", "value"))
	from := uintptr(unsafe.Pointer(unsafe.StringData(string(set))))
	inside := func(s string) bool {
		at := uintptr(unsafe.Pointer(unsafe.StringData(s)))
		return s == "" || from <= at && at+uintptr(len(s)) <= from+uintptr(len(set))
	}
	for a := range set.All() {
		if !inside(a.Key) || !inside(a.Value) || !inside(a.Unit) {
			t.Errorf("%q was copied", a)
		}
	}
}

// FuzzAttributes reads arbitrary strings as sets: it must not panic, and the attributes
// that it finds make a set with the same attributes. It agrees with the official module.
func FuzzAttributes(f *testing.F) {
	f.Add("")
	f.Add(string(libpf.NewAttributes(libpf.StringAttr("b", "1").In("s"), libpf.IntsAttr("a", 1, 2))))
	f.Add("\x0a\x05\x0a\x01a\x12")
	f.Add("\x08\x01\x0a\x03\x0a\x01a\x12\x00")
	f.Add("\x0a\x05\x0a\x01a\x08\x05") // a key, and a number in its place
	f.Fuzz(func(t *testing.T, s string) {
		found := slices.Collect(libpf.Attributes(s).All())
		if want := readAttributes([]byte(s)); !slices.Equal(found, want) {
			t.Fatalf("%q: found %q, the official module %q", s, found, want)
		}
		set := libpf.NewAttributes(found...)
		again := slices.Collect(set.All())
		if libpf.NewAttributes(again...) != set {
			t.Fatalf("%q: made the set %q, which reads as %q", s, set, again)
		}
		last := ""
		for _, a := range again {
			if a.Key <= last {
				t.Fatalf("%q: key %q comes after %q", s, a.Key, last)
			}
			last = a.Key
		}
	})
}

// readAttributes is All with the official module. It stops at the first invalid field,
// like a Cursor.
func readAttributes(b []byte) (list []libpf.Attribute) {
	fields(b, func(num protowire.Number, value []byte) {
		if num != 1 {
			return
		}
		var a libpf.Attribute
		fields(value, func(num protowire.Number, value []byte) {
			switch num {
			case 1:
				a.Key = string(value)
			case 2:
				a.Value = string(value)
			case 3:
				a.Unit = string(value)
			}
		})
		list = append(list, a)
	})
	return list
}

func fields(b []byte, f func(protowire.Number, []byte)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return
		}
		if typ == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(b[n:])
			f(num, value)
		}
		b = b[n+size:]
	}
}
