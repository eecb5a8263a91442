package resourceprocessor

import (
	"bytes"
	"fmt"
	"math/rand"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// The oracle: the same edit on what the official module decodes.

func oracleEdit(t testing.TB, m proto.Message, actions []Action) {
	var table []string
	if p, ok := m.(*colprofiles.ExportProfilesServiceRequest); ok {
		table = p.GetDictionary().GetStringTable()
		if table == nil {
			table = []string{}
		}
	}
	top := m.ProtoReflect()
	list := top.Get(top.Descriptor().Fields().ByNumber(otlpfield.RequestResources)).List()
	for i := range list.Len() {
		rx := list.Get(i).Message()
		oracleResourceX(t, rx, actions, table)
	}
}

func oracleResourceX(t testing.TB, rx protoreflect.Message, actions []Action, table []string) {
	field := rx.Descriptor().Fields().ByName("resource")
	had := rx.Has(field)
	res := &resourcepb.Resource{}
	if had {
		res = rx.Get(field).Message().Interface().(*resourcepb.Resource)
	}
	for _, a := range actions {
		res.Attributes = oracleAction(t, res.Attributes, a, table)
	}
	if !had && len(res.Attributes) > 0 {
		rx.Set(field, protoreflect.ValueOfMessage(res.ProtoReflect()))
	}
}

func oracleAction(t testing.TB, attrs []*commonpb.KeyValue, a Action, table []string) []*commonpb.KeyValue {
	key := func(kv *commonpb.KeyValue) string {
		if i := kv.KeyStrindex; kv.Key == "" && i > 0 && int(i) < len(table) {
			return table[i]
		}
		return kv.Key
	}
	find := func(name string) int {
		return slices.IndexFunc(attrs, func(kv *commonpb.KeyValue) bool { return key(kv) == name })
	}
	at := find(a.Key)
	op := strings.ToLower(a.Action)
	if op == "delete" {
		if at >= 0 && a.Key != "" {
			attrs = slices.Delete(slices.Clone(attrs), at, at+1)
		}
		if a.Pattern != "" {
			re := regexp.MustCompile(a.Pattern)
			attrs = slices.DeleteFunc(slices.Clone(attrs), func(kv *commonpb.KeyValue) bool { return re.MatchString(key(kv)) })
		}
		return attrs
	}
	if op == "hash" || op == "extract" || op == "convert" {
		return oracleTransform(attrs, a, op, at, key, table)
	}
	value := oracleValue(t, a.Value)
	if from := find(a.FromAttribute); a.FromAttribute != "" && from >= 0 {
		value = attrs[from].Value
	} else if value == nil {
		if a.DefaultValue == nil {
			return attrs
		}
		value = oracleValue(t, a.DefaultValue)
	}
	switch {
	case at < 0 && op != "update":
		attrs = append(attrs, &commonpb.KeyValue{Key: a.Key, Value: value})
	case at >= 0 && op != "insert":
		attrs[at].Value = value
	}
	return attrs
}

func oracleValue(t testing.TB, v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
	case bool:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: v}}
	case int:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	case []any:
		array := &commonpb.ArrayValue{}
		for _, e := range v {
			array.Values = append(array.Values, oracleValue(t, e))
		}
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: array}}
	}
	t.Fatalf("the oracle does not know %T", v)
	return nil
}

// outside is everything of a request that the processor must not touch, in order:
// all but the attributes of resources.
func outside(request []byte) []byte {
	var out []byte
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlpfield.RequestResources {
			out = append(out, request[c.Start:c.End]...)
			continue
		}
		out = append(out, "|resource|"...)
		resource := wire.Merged(c.Bytes, otlpfield.ResourceXResource)
		for r := (wire.Cursor{Buf: resource}); r.Next(); {
			if r.Num != otlpfield.ResourceAttributes {
				out = append(out, resource[r.Start:r.End]...)
			}
		}
		out = append(out, "|rest|"...)
		for x := (wire.Cursor{Buf: c.Bytes}); x.Next(); {
			if x.Num != otlpfield.ResourceXResource {
				out = append(out, c.Bytes[x.Start:x.End]...)
			}
		}
	}
	return out
}

// verify holds a pass to the oracle on one request. It reports whether the
// request was changed.
func verify(t testing.TB, w *otlpedit.Pass, actions []Action, s otlp.Signal, request []byte) bool {
	t.Helper()
	items, err := otlp.Check(s, request)
	if err != nil {
		t.Fatalf("the test's own request: %v", err)
	}
	before := bytes.Clone(request)
	verdict, edited, err := w.Run(s, request, items, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, request) {
		t.Fatal("the original was written to")
	}
	want := requests[s]()
	if err := proto.Unmarshal(request, want); err != nil {
		t.Skip("the official module refuses what is not UTF-8")
	}
	original := proto.Clone(want)
	oracleEdit(t, want, actions)
	if verdict == otlpedit.Keep {
		if !proto.Equal(original, want) {
			t.Fatalf("nothing was changed, but the oracle says\n%v", want)
		}
		return false
	}
	if n, err := otlp.Check(s, edited); err != nil || n != items {
		t.Fatalf("the result has %d items of %d: %v", n, items, err)
	}
	got := requests[s]()
	if err := proto.Unmarshal(edited, got); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Fatalf("%s with %+v:\ngot  %v\nwant %v", s, actions, got, want)
	}
	if !bytes.Equal(outside(request), outside(edited)) {
		t.Fatal("bytes outside the attributes have changed")
	}
	return true
}

var plans = [][]Action{
	{{Key: "a", Action: "insert", Value: "new"}},
	{{Key: "a", Action: "UPDATE", Value: 7}},
	{{Key: "service.name", Action: "upsert", Value: 2.5}},
	{{Key: "host.ip", Action: "delete"}},
	{{Key: "a", Action: "delete"}, {Key: "a", Action: "delete"}, {Key: "a", Action: "delete"}},
	{{Action: "delete", Pattern: "^host"}},
	{{Key: "a", Action: "delete", Pattern: "b|c"}, {Key: "b", Action: "insert", Value: true}},
	{{Key: "b", Action: "upsert", FromAttribute: "a"}, {Key: "a", Action: "delete"}},
	{{Key: "c", Action: "insert", FromAttribute: "never", DefaultValue: []any{"x", 1}}},
	{{Key: "new", Action: "insert", Value: "x"}, {Key: "newer", Action: "insert", FromAttribute: "new"}, {Key: "new", Action: "delete"}},
	{{Key: "new", Action: "insert", Value: "x"}, {Action: "delete", Pattern: "n"}, {Key: "new", Action: "update", Value: "y"}},
	{{Key: "a", Action: "hash"}, {Key: "b", Action: "hash"}, {Key: "b", Action: "HASH"}},
	{{Action: "hash", Pattern: "a|o"}, {Key: "b", Action: "delete"}, {Key: "b", Action: "hash", Pattern: "^b|^h"}, {Action: "delete", Pattern: "^k"}},
	{{Key: "service.name", Action: "extract", Pattern: "^(?P<first>.)(?P<a>.*?)(?P<rest>x)?$"}, {Key: "first", Action: "hash"}},
	{{Key: "a", Action: "convert", ConvertedType: "string"}, {Key: "b", Action: "convert", ConvertedType: "int"}, {Key: "service.name", Action: "convert", ConvertedType: "double"}},
	{{Key: "n", Action: "insert", Value: "12"}, {Key: "n", Action: "convert", ConvertedType: "int"}, {Key: "n", Action: "convert", ConvertedType: "double"}, {Key: "n", Action: "convert", ConvertedType: "string"}},
	{{Key: "a", Action: "update", Value: "1"}, {Key: "a", Action: "update", FromAttribute: "b"}, {Key: "b", Action: "update", FromAttribute: "a"}},
}

func rewriterFor(t testing.TB, actions []Action) *otlpedit.Pass {
	t.Helper()
	p, err := compile(actions)
	if err != nil {
		t.Fatal(err)
	}
	return otlpedit.NewPass(p.edits())
}

func TestEditEqualsTheSameEditOnDecodedRequests(t *testing.T) {
	for _, s := range otlp.Signals() {
		for i, actions := range plans {
			t.Run(fmt.Sprintf("%s/%d", s, i), func(t *testing.T) {
				t.Parallel()
				w := rewriterFor(t, actions)
				changed := 0
				for seed := range int64(150) {
					r := random{rand.New(rand.NewSource(seed)), int(seed % 9)}
					if verify(t, w, actions, s, r.request(s)) {
						changed++
					}
				}
				if changed == 0 {
					t.Error("no request was changed: the test tests nothing")
				}
			})
		}
	}
}

// Whatever passes the check on arrival is edited as the oracle edits it.
func FuzzRewrite(f *testing.F) {
	for _, s := range otlp.Signals() {
		r := random{rand.New(rand.NewSource(int64(s))), 3}
		f.Add(byte(s), byte(0), r.request(s))
		f.Add(byte(s), byte(5), r.request(s))
	}
	f.Fuzz(func(t *testing.T, signal, which byte, request []byte) {
		s := otlp.Signal(signal)
		if _, err := otlp.Check(s, request); err != nil {
			return
		}
		actions := plans[int(which)%len(plans)]
		verify(t, rewriterFor(t, actions), actions, s, request)
	})
}
