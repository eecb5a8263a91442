package otlp_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// leadsToItems reports whether a message field is an item or a message around items.
func leadsToItems(f protoreflect.FieldDescriptor) bool {
	switch name := string(f.Message().Name()); name {
	case "Metric", "Gauge", "Sum", "Histogram", "ExponentialHistogram", "Summary", "Profile", "Span", "LogRecord", "Sample",
		"NumberDataPoint", "HistogramDataPoint", "ExponentialHistogramDataPoint", "SummaryDataPoint":
		return true
	default:
		return strings.HasPrefix(name, "Resource") && name != "Resource" || strings.HasPrefix(name, "Scope")
	}
}

// entriesOf are the items of a request, each with everything around it, as the official
// module reads them. ok is false if it does not.
func entriesOf(s otlp.Signal, request []byte) (entries []string, ok bool) {
	m := testkit.NewMessage(s)
	if proto.Unmarshal(request, m) != nil {
		return nil, false
	}
	r := resolver{around: true}
	if p, is := m.(*colprofiles.ExportProfilesServiceRequest); is {
		if p.Dictionary == nil {
			p.Dictionary = &profiles.ProfilesDictionary{}
		}
		r.dictionary = p.Dictionary.ProtoReflect()
	}
	var walk func(path string, m protoreflect.Message)
	walk = func(path string, m protoreflect.Message) {
		r.out.Reset()
		fmt.Fprintf(&r.out, "%s%s", path, m.Descriptor().Name())
		r.message(m)
		path = r.out.String()
		before := len(entries)
		m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case f.Message() == nil || !leadsToItems(f):
			case f.IsList():
				for i := range v.List().Len() {
					walk(path, v.List().Get(i).Message())
				}
			default:
				walk(path, v.Message())
			}
			return true
		})
		if len(entries) == before {
			entries = append(entries, path)
		}
	}
	walk("", m.ProtoReflect())
	return entries, true
}

// checkSplit divides a request and compares what the portions have. ok is false if the
// official module does not read it.
func checkSplit(t testing.TB, s otlp.Signal, request []byte, l otlp.SplitLimits) (portions []otlp.Portion, ok bool) {
	t.Helper()
	want, ok := entriesOf(s, request)
	if !ok {
		return nil, false
	}
	total, err := otlp.Check(s, request)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	items := 0
	for p := range otlp.Split(s, request, l) {
		portions = append(portions, p)
		n, err := otlp.Limits{}.Check(s, p.Request)
		if err != nil || n != p.Items {
			t.Fatalf("portion %d has %d items (%v), it says %d", len(portions), n, err, p.Items)
		}
		entries, ok := entriesOf(s, p.Request)
		if !ok {
			t.Fatalf("portion %d cannot be read", len(portions))
		}
		got, items = append(got, entries...), items+n
		checkLimits(t, p, len(entries), l)
		if p.End != len(got) || p.Last != (p.End == len(want)) {
			t.Fatalf("portion %d ends at %d (last: %v), want %d of %d", len(portions), p.End, p.Last, len(got), len(want))
		}
	}
	if items != total || !slices.Equal(got, want) {
		t.Fatalf("%d portions with %d items, %d entries; want %d and %d, and the same ones", len(portions), items, len(got), total, len(want))
	}
	return portions, true
}

func checkLimits(t testing.TB, p otlp.Portion, entries int, l otlp.SplitLimits) {
	t.Helper()
	switch {
	case p.Entries != entries:
		t.Fatalf("%d entries, it says %d", entries, p.Entries)
	case l.MaxItems > 0 && p.Items > l.MaxItems:
		t.Fatalf("%d items, at most %d are allowed", p.Items, l.MaxItems)
	case l.MaxBytes > 0 && (len(p.Request) > l.MaxBytes) != p.TooLarge, p.TooLarge && p.Entries != 1:
		t.Fatalf("%d bytes of %d entries, at most %d bytes are allowed; too large: %v", len(p.Request), p.Entries, l.MaxBytes, p.TooLarge)
	}
}

func TestSplitRandomRequests(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 5))
	for _, s := range otlp.Signals() {
		read, divided := 0, 0
		for range 200 {
			request := testkit.Request(rng, s, rng.IntN(40))
			l := otlp.SplitLimits{MaxItems: rng.IntN(12)}
			if rng.IntN(2) == 0 {
				l.MaxBytes = 1 + rng.IntN(len(request)+1)
			}
			portions, ok := checkSplit(t, s, request, l)
			if ok {
				read++
			}
			if len(portions) > 1 {
				divided++
				checkSkip(t, s, request, l, portions)
			}
		}
		if read < 160 || divided < 60 {
			t.Errorf("%s: of 200 requests %d could be read and %d were divided", s, read, divided)
		}
	}
}

// checkSkip continues after each portion.
func checkSkip(t *testing.T, s otlp.Signal, request []byte, l otlp.SplitLimits, portions []otlp.Portion) {
	t.Helper()
	for i, p := range portions {
		l.Skip = p.End
		n := i + 1
		for q := range otlp.Split(s, request, l) {
			if !bytes.Equal(q.Request, portions[n].Request) || q.End != portions[n].End {
				t.Fatalf("after portion %d: another one than without Skip", i)
			}
			n++
		}
		if n != len(portions) {
			t.Fatalf("after portion %d: up to portion %d of %d", i, n, len(portions))
		}
	}
}

// A dictionary is divided too.
func TestSplitProfiles(t *testing.T) {
	for i, request := range payloads(t) {
		items, _ := otlp.Check(otlp.Profiles, request)
		if items < 4 {
			continue
		}
		portions, _ := checkSplit(t, otlp.Profiles, request, otlp.SplitLimits{MaxItems: items/2 + 1})
		for _, p := range portions {
			checkUnique(t, p.Request)
			if len(p.Request) > len(request) {
				t.Errorf("payload %d of %d bytes: a portion of %d", i, len(request), len(p.Request))
			}
		}
		portions, _ = checkSplit(t, otlp.Profiles, request, otlp.SplitLimits{MaxBytes: len(request) / 2})
		if len(portions) < 2 {
			t.Errorf("payload %d: %d portions", i, len(portions))
		}
	}
}

func TestSplitOfWhatFits(t *testing.T) {
	for _, s := range otlp.Signals() {
		for _, request := range [][]byte{nil, testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 7)} {
			items, err := otlp.Check(s, request)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range []otlp.SplitLimits{{}, {MaxItems: items}, {MaxBytes: len(request)}} {
				n := 0
				for p := range otlp.Split(s, request, l) {
					n++
					if len(p.Request) != len(request) || len(request) > 0 && &p.Request[0] != &request[0] || !p.Last || p.Items != items {
						t.Errorf("%s: a request within the limits %+v was changed", s, l)
					}
				}
				if n != 1 {
					t.Errorf("%s: %d portions", s, n)
				}
			}
		}
	}
}

func TestSplitStops(t *testing.T) {
	for _, s := range otlp.Signals() {
		n := 0
		for range otlp.Split(s, testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 20), otlp.SplitLimits{MaxItems: 1}) {
			if n++; n == 3 {
				break
			}
		}
		if n != 3 {
			t.Errorf("%s: %d portions", s, n)
		}
	}
}

func FuzzSplit(f *testing.F) {
	rng := rand.New(rand.NewPCG(3, 3))
	for _, s := range otlp.Signals() {
		for range 3 {
			f.Add(uint8(s), uint8(3), uint16(200), testkit.Request(rng, s, 8))
		}
	}
	f.Fuzz(func(t *testing.T, signal, items uint8, size uint16, request []byte) {
		s := otlp.Signal(signal%4 + 1)
		if _, err := otlp.Check(s, request); err != nil {
			return
		}
		checkSplit(t, s, request, otlp.SplitLimits{MaxItems: int(items), MaxBytes: int(size)})
	})
}

func BenchmarkSplit(b *testing.B) {
	for _, s := range otlp.Signals() {
		b.Run(s.String(), func(b *testing.B) {
			request := testkit.Request(rand.New(rand.NewPCG(1, 2)), s, 5000)
			b.SetBytes(int64(len(request)))
			b.ReportAllocs()
			for b.Loop() {
				for range otlp.Split(s, request, otlp.SplitLimits{MaxItems: 500}) {
				}
			}
		})
	}
}

// Portions are as large as the limit allows, also where a length takes another byte.
func TestSplitFillsPortions(t *testing.T) {
	// The first log record has a field that makes sizes even or odd.
	for _, first := range []string{"", "\xf8\x01\x00"} {
		scope := wire.AppendBytes(nil, otlpfield.ScopeXItems, first)
		for range 9000 {
			scope = wire.AppendBytes(scope, otlpfield.ScopeXItems, "")
		}
		request := wire.AppendBytes(nil, otlpfield.RequestResources, wire.AppendBytes(nil, otlpfield.ResourceXScopes, scope))
		for n := 20; n < 16420; n++ {
			if n == 300 {
				n = 16370
			}
			for p := range otlp.Split(otlp.Logs, request, otlp.SplitLimits{MaxBytes: n}) {
				if size := len(p.Request); size > n || size < n-3 {
					t.Errorf("at most %d bytes, the first portion has %d", n, size)
				}
				break
			}
		}
	}
}

// Fields of the request and of the dictionary that this version does not know are in
// each portion.
func TestSplitKeepsUnknownFields(t *testing.T) {
	unknown := []byte{0xfa, 0x01, 3, 'a', 'b', 'c'} // field 31
	request := slices.Concat(payloads(t)[0], unknown, []byte{2<<3 | 2, byte(len(unknown))}, unknown)
	portions, _ := checkSplit(t, otlp.Profiles, request, otlp.SplitLimits{MaxItems: 1})
	for i, p := range portions[:2] {
		var m colprofiles.ExportProfilesServiceRequest
		if err := proto.Unmarshal(p.Request, &m); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(m.ProtoReflect().GetUnknown(), unknown) || !bytes.Equal(m.Dictionary.ProtoReflect().GetUnknown(), unknown) {
			t.Errorf("portion %d: unknown fields %x, of the dictionary %x", i, m.ProtoReflect().GetUnknown(), m.Dictionary.ProtoReflect().GetUnknown())
		}
	}
}
