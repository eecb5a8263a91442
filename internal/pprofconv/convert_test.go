package pprofconv

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// render prints a profile after a round trip through a file.
func render(t *testing.T, p *profile.Profile) string {
	t.Helper()
	var file bytes.Buffer
	if err := p.Write(&file); err != nil {
		t.Fatal(err)
	}
	p, err := profile.ParseData(file.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	var s strings.Builder
	for _, v := range p.SampleType {
		fmt.Fprintf(&s, "%s/%s ", v.Type, v.Unit)
	}
	if p.PeriodType.Type != "" || p.Period != 0 {
		fmt.Fprintf(&s, "every %d %s/%s ", p.Period, p.PeriodType.Type, p.PeriodType.Unit)
	}
	if p.TimeNanos != 0 || p.DurationNanos != 0 {
		fmt.Fprintf(&s, "at %d for %d", p.TimeNanos, p.DurationNanos)
	}
	s.WriteString("\n")
	for _, x := range p.Sample {
		fmt.Fprintf(&s, "%v", x.Value)
		for _, l := range x.Location {
			if len(l.Line) == 0 {
				fmt.Fprintf(&s, " %#x", l.Address)
			}
			for i, line := range l.Line {
				sep := " "
				if i > 0 {
					sep = "<"
				}
				s.WriteString(sep + line.Function.Name)
			}
		}
		if len(x.Label) > 0 {
			fmt.Fprintf(&s, " %v", x.Label)
		}
		if len(x.NumLabel) > 0 {
			fmt.Fprintf(&s, " %v%v", x.NumLabel, x.NumUnit)
		}
		s.WriteString("\n")
	}
	return s.String()
}

func renderAll(t *testing.T, list []Named) string {
	var s strings.Builder
	for _, n := range list {
		s.WriteString(n.Name + ": " + render(t, n.Profile))
	}
	return s.String()
}

// Values of samples, in each of the three shapes and in invalid ones.
func TestValues(t *testing.T) {
	t.Parallel()
	m := newMaker()
	stacks := make([]int32, 5)
	for i := range stacks {
		stacks[i] = m.stack(m.frame(string(rune('a' + i))))
	}
	m.add(nil, nil, &profiles.Profile{SampleType: m.valueType("events", "count"), DurationNano: 10, Samples: []*profiles.Sample{
		{StackIndex: stacks[0], TimestampsUnixNano: []uint64{1, 2, 3}},
		{StackIndex: stacks[1], Values: []int64{-7}},
		{StackIndex: stacks[2], TimestampsUnixNano: []uint64{1, 2}, Values: []int64{40, 2}},
		{StackIndex: stacks[3]},
		{StackIndex: stacks[4], Values: []int64{5, 6, 7}},
		{StackIndex: stacks[0], TimestampsUnixNano: []uint64{4}}, // the same sample again
	}})
	want := `: events/count at 0 for 10
[4] a
[-7] b
[42] c
[18] e
`
	if diff := cmp.Diff(want, renderAll(t, valid(t, m.request(t, false)))); diff != "" {
		t.Error(diff)
	}
}

// Which Profiles are combined.
func TestGrouping(t *testing.T) {
	t.Parallel()
	const t0, t1 = 1_700_000_000_000_000_000, 1_700_000_001_000_000_000
	one := func(m *maker, typ string, time uint64, values ...int64) *profiles.Profile {
		p := &profiles.Profile{SampleType: m.valueType(typ, "count"), TimeUnixNano: time, DurationNano: 5}
		for i, v := range values {
			p.Samples = append(p.Samples, &profiles.Sample{StackIndex: int32(i + 1), Values: []int64{v}})
		}
		return p
	}
	order := func(m *maker, p *profiles.Profile, n int64) *profiles.Profile {
		p.AttributeIndices = append(p.AttributeIndices, m.attribute(AttrSampleTypeOrder, "", array(num(n))))
		return p
	}
	web := []*common.KeyValue{kv("service.name", str("web"))}
	for name, c := range map[string]struct {
		fill func(m *maker)
		want string
	}{
		"two types": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1, 2), one(m, "b", t0, 30))
		}, "web: a/count b/count at 1700000000000000000 for 5\n[1 30] f\n[2 0] g\n"},
		"two resources that are equal": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1))
			m.add(web, nil, one(m, "b", t0, 0, 2))
		}, "web: a/count b/count at 1700000000000000000 for 5\n[1 0] f\n[0 2] g\n"},
		"two resources": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1))
			m.add(nil, nil, one(m, "b", t0, 2))
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\n: b/count at 1700000000000000000 for 5\n[2] f\n"},
		"two scopes": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1))
			m.add(web, &common.InstrumentationScope{Name: "x"}, one(m, "b", t0, 2))
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\nweb: b/count at 1700000000000000000 for 5\n[2] f\n"},
		"two times": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1), one(m, "b", t1, 2))
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\nweb: b/count at 1700000001000000000 for 5\n[2] f\n"},
		"two periods": {func(m *maker) {
			p := one(m, "b", t0, 2)
			p.Period, p.PeriodType = 9, m.valueType("cpu", "nanoseconds")
			m.add(web, nil, one(m, "a", t0, 1), p)
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\nweb: b/count every 9 cpu/nanoseconds at 1700000000000000000 for 5\n[2] f\n"},
		"two attributes": {func(m *maker) {
			p := one(m, "b", t0, 2)
			p.AttributeIndices = []int32{m.attribute("k", "", str("v"))}
			m.add(web, nil, one(m, "a", t0, 1), p)
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\nweb: b/count at 1700000000000000000 for 5\n[2] f\n"},
		"the same type twice": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0, 1), one(m, "a", t0, 2))
		}, "web: a/count at 1700000000000000000 for 5\n[1] f\nweb: a/count at 1700000000000000000 for 5\n[2] f\n"},
		"the order of the file": {func(m *maker) {
			m.add(web, nil, order(m, one(m, "c", t0, 0, 3), 2), order(m, one(m, "a", t0, 1), 0), order(m, one(m, "b", t0, 2), 1))
		}, "web: a/count b/count c/count at 1700000000000000000 for 5\n[1 2 0] f\n[0 0 3] g\n"},
		"a type that the file has twice": {func(m *maker) {
			m.add(web, nil, order(m, one(m, "a", t0, 2), 1), order(m, one(m, "a", t0, 1), 0))
		}, "web: a/count a/count at 1700000000000000000 for 5\n[1 2] f\n"},
		"the order of the scope": {func(m *maker) {
			scope := &common.InstrumentationScope{Attributes: []*common.KeyValue{kv(AttrSampleTypeOrder, array(num(1), num(0)))}}
			m.add(web, scope, one(m, "b", t0, 2), one(m, "a", t0, 1))
		}, "web: a/count b/count at 1700000000000000000 for 5\n[1 2] f\n"},
		"no samples": {func(m *maker) {
			m.add(web, nil, one(m, "a", t0))
		}, "web: a/count at 1700000000000000000 for 5\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaker()
			m.stack(m.frame("f"))
			m.stack(m.frame("g"))
			c.fill(m)
			if diff := cmp.Diff(c.want, renderAll(t, valid(t, m.request(t, false)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Attributes and links of a sample become labels.
func TestLabels(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		attributes func(m *maker) []int32
		want       string
	}{
		"text":         {func(m *maker) []int32 { return []int32{m.attribute("k", "", str("v"))} }, "map[k:[v]]"},
		"empty text":   {func(m *maker) []int32 { return []int32{m.attribute("k", "", str(""))} }, ""},
		"number":       {func(m *maker) []int32 { return []int32{m.attribute("k", "", num(-3))} }, "map[k:[-3]]map[]"},
		"with unit":    {func(m *maker) []int32 { return []int32{m.attribute("k", "By", num(3))} }, "map[k:[3]]map[k:[By]]"},
		"zero":         {func(m *maker) []int32 { return []int32{m.attribute("k", "", num(0))} }, "map[k:[0]]map[k:[k]]"},
		"zero of unit": {func(m *maker) []int32 { return []int32{m.attribute("k", "By", num(0))} }, "map[k:[0]]map[k:[By]]"},
		"bool":         {func(m *maker) []int32 { return []int32{m.attribute("k", "", boolean(false))} }, "map[k:[false]]"},
		"double":       {func(m *maker) []int32 { return []int32{m.attribute("k", "", double(1.5))} }, "map[k:[1.5]]"},
		"texts":        {func(m *maker) []int32 { return []int32{m.attribute("k", "", array(str("b"), str(""), str("a")))} }, "map[k:[b a]]"},
		"numbers":      {func(m *maker) []int32 { return []int32{m.attribute("k", "", array(num(0), num(5)))} }, "map[k:[0 5]]map[k:[k ]]"},
		"both":         {func(m *maker) []int32 { return []int32{m.attribute("k", "s", array(str("a"), num(5)))} }, "map[k:[a]] map[k:[5]]map[k:[s]]"},
		"other list":   {func(m *maker) []int32 { return []int32{m.attribute("k", "", array(str("a"), boolean(true)))} }, `map[k:[["a",true]]]`},
		"no value":     {func(m *maker) []int32 { return []int32{m.attribute("k", "", nil)} }, ""},
		"no key":       {func(m *maker) []int32 { return []int32{m.attribute("", "", str("v"))} }, ""},
		"a reference": {func(m *maker) []int32 {
			return []int32{m.attribute("k", "", &common.AnyValue{Value: &common.AnyValue_StringValueStrindex{StringValueStrindex: m.text("v")}})}
		}, "map[k:[v]]"},
		"a key twice": {func(m *maker) []int32 {
			return []int32{m.attribute("k", "", num(7)), m.attribute("k", "By", num(8)), m.attribute("k", "", str("v"))}
		}, "map[k:[v]] map[k:[7 8]]map[k:[ By]]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaker()
			stack := m.stack(m.frame("f"))
			m.add(nil, nil, &profiles.Profile{Samples: []*profiles.Sample{{StackIndex: stack, Values: []int64{1}, AttributeIndices: c.attributes(m)}}})
			want := ": / \n[1] f " + c.want
			if diff := cmp.Diff(strings.TrimRight(want, " ")+"\n", renderAll(t, valid(t, m.request(t, false)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	m := newMaker()
	stack := m.stack(m.frame("f"))
	link := m.link("0123456789abcdef", "01234567")
	none := m.link(strings.Repeat("\x00", 16), strings.Repeat("\x00", 8))
	m.add(nil, nil, &profiles.Profile{Samples: []*profiles.Sample{
		{StackIndex: stack, LinkIndex: link, Values: []int64{1}},
		{StackIndex: stack, LinkIndex: none, Values: []int64{2}},
		{StackIndex: stack, Values: []int64{3}},
	}})
	want := `: / 
[1] f map[span_id:[3031323334353637] trace_id:[30313233343536373839616263646566]]
[2] f
[3] f
`
	if diff := cmp.Diff(want, renderAll(t, valid(t, m.request(t, false)))); diff != "" {
		t.Error(diff)
	}
}

// The content of a location: inlined functions, lines, the address, the flag.
func TestLocations(t *testing.T) {
	t.Parallel()
	m := newMaker()
	f, g := m.function("f", "_Zf", "f.go", 10), m.function("g", "", "g.go", 0)
	file := m.mapping("lib.so", 0x1000, 0x9000)
	folded := m.attribute(AttrIsFolded, "", boolean(true))
	stack := m.stack(
		m.location(file, 0x1234, []int32{folded}, &profiles.Line{FunctionIndex: f, Line: 12, Column: 3}, &profiles.Line{FunctionIndex: g, Line: 7}),
		m.location(file, 0x2345, nil),
		m.location(0, 0, nil, &profiles.Line{Line: 99}),
		m.location(0, 0, nil, &profiles.Line{}),
		0,
	)
	m.add(nil, nil, &profiles.Profile{Samples: []*profiles.Sample{{StackIndex: stack, Values: []int64{1}}}})
	p := valid(t, m.request(t, false))[0].Profile
	got := p.Sample[0].Location
	lib := &profile.Mapping{ID: 1, Start: 0x1000, Limit: 0x9000, File: "lib.so"}
	want := []*profile.Location{
		{ID: 1, Address: 0x1234, Mapping: lib, IsFolded: true, Line: []profile.Line{
			{Function: &profile.Function{ID: 1, Name: "f", SystemName: "_Zf", Filename: "f.go", StartLine: 10}, Line: 12, Column: 3},
			{Function: &profile.Function{ID: 2, Name: "g", SystemName: "g", Filename: "g.go"}, Line: 7},
		}},
		{ID: 2, Address: 0x2345, Mapping: lib},
		{ID: 3, Line: []profile.Line{{Function: &profile.Function{ID: 3}, Line: 99}}},
		{ID: 4},
		{ID: 5},
	}
	if diff := cmp.Diff(want, got, exportedOnly); diff != "" {
		t.Error(diff)
	}
}

// exportedOnly compares profiles by their exported fields.
var exportedOnly = cmp.FilterPath(func(p cmp.Path) bool {
	f, ok := p.Last().(cmp.StructField)
	return ok && strings.ToLower(f.Name()[:1]) == f.Name()[:1]
}, cmp.Ignore())

// Which mapping is that of the main program, which build id is used, and how far a
// mapping is symbolized.
func TestMappings(t *testing.T) {
	t.Parallel()
	type request func(m *maker) (resource []*common.KeyValue, locations []int32)
	at := func(m *maker, mapping int32, lines ...*profiles.Line) int32 {
		return m.location(mapping, uint64(0x100+len(m.dict.LocationTable)), nil, lines...)
	}
	full := func(m *maker) *profiles.Line {
		return &profiles.Line{FunctionIndex: m.function("f", "", "f.go", 0), Line: 1}
	}
	for name, c := range map[string]struct {
		request request
		want    string
	}{
		"the program is first": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("vmlinux", 0, 0)), at(m, m.mapping("[vdso]", 0, 0)), at(m, m.mapping("libc.so.6", 0, 0)), at(m, m.mapping("/bin/app", 0, 0)), at(m, m.mapping("other", 0, 0))}
		}, "1 /bin/app; 2 vmlinux; 3 [vdso]; 4 libc.so.6; 5 other; "},
		"the resource names it": {func(m *maker) ([]*common.KeyValue, []int32) {
			return []*common.KeyValue{kv("process.executable.path", str("/usr/bin/node"))}, []int32{at(m, m.mapping("agent", 0, 0)), at(m, m.mapping("node", 0, 0))}
		}, "1 node; 2 agent; "},
		"only libraries": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("libc.so", 0, 0)), at(m, m.mapping("nf_tables.ko", 0, 0))}
		}, "1 libc.so; 2 nf_tables.ko; "},
		"GNU's build id": {func(m *maker) ([]*common.KeyValue, []int32) {
			ids := []int32{m.attribute(buildIDs[2], "", str("c0")), m.attribute(buildIDs[0], "", str("a0")), m.attribute(buildIDs[1], "", str("b0"))}
			return nil, []int32{at(m, m.mapping("app", 0, 0, ids...))}
		}, "1 app a0; "},
		"Go's build id": {func(m *maker) ([]*common.KeyValue, []int32) {
			ids := []int32{m.attribute(buildIDs[2], "", str("c0")), m.attribute(buildIDs[0], "", str("")), m.attribute(buildIDs[1], "", str("b0"))}
			return nil, []int32{at(m, m.mapping("app", 0, 0, ids...))}
		}, "1 app b0; "},
		"the hash of the file": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0, m.attribute(buildIDs[2], "", str("c0"))))}
		}, "1 app c0; "},
		"symbolized": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0), full(m))}
		}, "1 app functions files lines; "},
		"with inlined frames": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0), full(m), full(m))}
		}, "1 app functions files lines inlined; "},
		"names alone": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0), &profiles.Line{FunctionIndex: m.function("f", "", "", 0)})}
		}, "1 app functions; "},
		"half symbolized": {func(m *maker) ([]*common.KeyValue, []int32) {
			app := m.mapping("app", 0, 0)
			return nil, []int32{at(m, app, full(m), full(m)), at(m, app)}
		}, "1 app; "},
		"it says so itself": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0, m.attribute(AttrHasLineNumbers, "", boolean(true))), full(m))}
		}, "1 app lines; "},
		"it says it is not": {func(m *maker) ([]*common.KeyValue, []int32) {
			return nil, []int32{at(m, m.mapping("app", 0, 0, m.attribute(AttrHasFunctions, "", boolean(false))), full(m))}
		}, "1 app; "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMaker()
			resource, locations := c.request(m)
			stack := m.stack(locations...)
			m.add(resource, nil, &profiles.Profile{Samples: []*profiles.Sample{{StackIndex: stack, Values: []int64{1}}}})
			var got strings.Builder
			for _, mp := range valid(t, m.request(t, false))[0].Profile.Mapping {
				fmt.Fprint(&got, mp.ID, " ", mp.File)
				if mp.BuildID != "" {
					got.WriteString(" " + mp.BuildID)
				}
				for i, is := range []bool{mp.HasFunctions, mp.HasFilenames, mp.HasLineNumbers, mp.HasInlineFrames} {
					if is {
						got.WriteString(" " + []string{"functions", "files", "lines", "inlined"}[i])
					}
				}
				got.WriteString("; ")
			}
			if got.String() != c.want {
				t.Errorf("got  %s\nwant %s", got.String(), c.want)
			}
		})
	}
}

// The fields that are attributes of the profile or of the scope in OTLP.
func TestHeaders(t *testing.T) {
	t.Parallel()
	m := newMaker()
	p := &profiles.Profile{SampleType: m.valueType("a", "count"), AttributeIndices: []int32{
		m.attribute(AttrComment, "", array(str("one"), str("two"))),
		m.attribute(AttrDocURL, "", str("http://doc")),
		m.attribute(AttrDropFrames, "", str("drop")),
		m.attribute(AttrKeepFrames, "", str("keep")),
		m.attribute(AttrDefaultSampleType, "", str("a")),
	}}
	m.add(nil, nil, p)
	m.add(nil, &common.InstrumentationScope{Name: "scope", Version: "v1", Attributes: []*common.KeyValue{kv(AttrDefaultSampleType, str("b"))}},
		&profiles.Profile{TimeUnixNano: 1 << 63, DurationNano: 1 << 63})
	list := valid(t, m.request(t, false))
	want := []*profile.Profile{
		{
			SampleType: []*profile.ValueType{{Type: "a", Unit: "count"}}, PeriodType: &profile.ValueType{},
			Comments: []string{"one", "two"}, DocURL: "http://doc", DropFrames: "drop", KeepFrames: "keep", DefaultSampleType: "a",
		},
		{SampleType: []*profile.ValueType{{}}, PeriodType: &profile.ValueType{}, DefaultSampleType: "b"},
	}
	if diff := cmp.Diff(want, []*profile.Profile{list[0].Profile, list[1].Profile}, exportedOnly); diff != "" {
		t.Error(diff)
	}
	if n := list[1]; n.Scope != "scope" || n.ScopeVersion != "v1" {
		t.Errorf("scope %q %q", n.Scope, n.ScopeVersion)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for want, resource := range map[string][]*common.KeyValue{
		"":                {},
		"web":             {kv("process.executable.name", str("x")), kv("service.name", str("web"))},
		"web (pid 7)":     {kv("process.pid", num(7)), kv("service.name", str("web"))},
		"(pid 7)":         {kv("process.pid", num(7))},
		"node (pid 7)":    {kv("service.name", str("unknown_service:x")), kv("process.executable.path", str("/bin/node")), kv("process.pid", num(7))},
		"unknown_service": {kv("service.name", str("unknown_service"))},
		"api":             {kv("k8s.container.name", str("api")), kv("host.name", str("h"))},
	} {
		m := newMaker()
		m.add(resource, nil, &profiles.Profile{})
		if got := valid(t, m.request(t, false))[0].Name; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// A request of a few kilobytes cannot become gigabytes.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	unfold := func(p *profiles.Profile, fill func(m *maker, p *profiles.Profile)) error {
		m := newMaker()
		fill(m, p)
		m.add(nil, nil, p)
		_, err := ToPprof(m.request(t, false))
		return err
	}
	samples := func(n int, s func(i int) *profiles.Sample) (list []*profiles.Sample) {
		for i := range n {
			list = append(list, s(i))
		}
		return list
	}
	for name, fill := range map[string]func(m *maker, p *profiles.Profile){
		"a long stack, often": func(m *maker, p *profiles.Profile) {
			stack := m.stack(make([]int32, 20_000)...)
			for range 4000 {
				m.attribute("k", "", str("v"))
			}
			p.Samples = samples(4000, func(i int) *profiles.Sample {
				return &profiles.Sample{StackIndex: stack, Values: []int64{1}, AttributeIndices: []int32{int32(i)}}
			})
		},
		"a long label, often": func(m *maker, p *profiles.Profile) {
			values := make([]*common.AnyValue, 20_000)
			for i := range values {
				values[i] = num(1)
			}
			a := m.attribute("k", "", array(values...))
			for range 4000 {
				m.stack()
			}
			p.Samples = samples(4000, func(i int) *profiles.Sample {
				return &profiles.Sample{StackIndex: int32(i), Values: []int64{1}, AttributeIndices: []int32{a}}
			})
		},
		"many profiles": func(m *maker, p *profiles.Profile) {
			m.add(nil, nil, make([]*profiles.Profile, 300_000)...)
		},
		"many types of many samples": func(m *maker, p *profiles.Profile) {
			var list []*profiles.Profile
			for i := range 10_000 {
				m.stack()
				list = append(list, &profiles.Profile{SampleType: m.valueType(fmt.Sprint(i), ""), Samples: []*profiles.Sample{
					{StackIndex: int32(i), Values: []int64{1}},
				}})
			}
			m.add(nil, nil, list...)
		},
	} {
		if err := unfold(&profiles.Profile{}, fill); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := unfold(&profiles.Profile{}, func(m *maker, p *profiles.Profile) {
		stack := m.stack(make([]int32, 20_000)...)
		p.Samples = samples(4000, func(int) *profiles.Sample { return &profiles.Sample{StackIndex: stack, Values: []int64{1}} })
	}); err != nil {
		t.Errorf("4000 samples that are one: %v", err)
	}
}
