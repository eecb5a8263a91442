package resourceprocessor

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/internal/actiontest"
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
	res.Attributes = actiontest.Apply(t, res.Attributes, actions, table)
	if !had && len(res.Attributes) > 0 {
		rx.Set(field, protoreflect.ValueOfMessage(res.ProtoReflect()))
	}
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
	want := testkit.NewMessage(s)
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
	got := testkit.NewMessage(s)
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

var plans = actiontest.Plans

func rewriterFor(t testing.TB, actions []Action) *otlpedit.Pass {
	t.Helper()
	c := Config{Attributes: actions}
	plan, err := c.plan()
	if err != nil {
		t.Fatal(err)
	}
	return otlpedit.NewPass(plan)
}

func TestEditEqualsTheSameEditOnDecodedRequests(t *testing.T) {
	for _, s := range otlp.Signals() {
		for i, actions := range plans {
			t.Run(fmt.Sprintf("%s/%d", s, i), func(t *testing.T) {
				t.Parallel()
				w := rewriterFor(t, actions)
				changed := 0
				for seed := range int64(150) {
					r := testkit.NewRandom(seed)
					if verify(t, w, actions, s, r.Request(s)) {
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
		r := testkit.NewRandom(int64(s))
		f.Add(byte(s), byte(0), r.Request(s))
		f.Add(byte(s), byte(5), r.Request(s))
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
