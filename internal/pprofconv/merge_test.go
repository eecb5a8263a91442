package pprofconv

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
)

// Profiles with the same sample types are merged, also those of different resources,
// and the resource becomes labels.
func TestMerge(t *testing.T) {
	t.Parallel()
	m := newMaker()
	stack := m.stack(m.frame("f"))
	own := m.attribute("service.name", "", str("own"))
	profileOf := func(typ string, time uint64, v int64, attributes ...int32) *profiles.Profile {
		return &profiles.Profile{
			SampleType: m.valueType(typ, "count"), TimeUnixNano: time, DurationNano: 100,
			Samples: []*profiles.Sample{{StackIndex: stack, Values: []int64{v}, AttributeIndices: attributes}},
		}
	}
	resource := func(name string, pid int64) []*common.KeyValue {
		return []*common.KeyValue{kv("service.name", str(name)), kv("process.pid", num(pid))}
	}
	m.add(resource("web", 1), nil, profileOf("cpu", 1000, 1))
	m.add(resource("db", 2), nil, profileOf("cpu", 1050, 2))
	m.add(resource("web", 1), nil, profileOf("heap", 1001, 3))
	m.add(resource("web", 1), nil, profileOf("cpu", 0, 4))
	m.add(resource("web", 1), nil, profileOf("cpu", 1010, 8, own))
	merged, err := Merge(valid(t, m.request(t, false)))
	if err != nil {
		t.Fatal(err)
	}
	want := `2 resources: cpu/count at 1000 for 150
[5] f map[service.name:[web]] map[process.pid:[1]]map[]
[2] f map[service.name:[db]] map[process.pid:[2]]map[]
[8] f map[service.name:[own]] map[process.pid:[1]]map[]
web (pid 1): heap/count at 1001 for 100
[3] f map[service.name:[web]] map[process.pid:[1]]map[]
`
	if diff := cmp.Diff(want, renderAll(t, merged)); diff != "" {
		t.Error(diff)
	}
	for _, n := range merged {
		if err := n.Profile.CheckValid(); err != nil {
			t.Error(err)
		}
	}
}

// Profiles with the same sample types and different LabelProfile are not merged.
func TestMergeKeepsKindsApart(t *testing.T) {
	t.Parallel()
	m := newMaker()
	stack := m.stack(m.frame("f"))
	profileOf := func(v int64, kind string) *profiles.Profile {
		return &profiles.Profile{
			SampleType: m.valueType("contentions", "count"), TimeUnixNano: uint64(v), DurationNano: 100,
			Samples: []*profiles.Sample{{StackIndex: stack, Values: []int64{v}, AttributeIndices: []int32{m.attribute(LabelProfile, "", str(kind))}}},
		}
	}
	for _, p := range []*profiles.Profile{profileOf(8, "mutex"), profileOf(10, "block"), profileOf(4, "mutex")} {
		m.add(nil, nil, p)
	}
	merged, err := Merge(valid(t, m.request(t, false)))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, n := range merged {
		for _, kind := range KindsOf(n.Profile) {
			for _, s := range n.Profile.Sample {
				got[kind] += s.Value[0]
			}
		}
	}
	if diff := cmp.Diff(map[string]int64{"mutex": 12, "block": 10}, got); diff != "" || len(merged) != 2 {
		t.Errorf("%d profiles: %s", len(merged), diff)
	}
}

// Parts of one profile that came in several requests are added up, also if some of its
// sample types are only in some of them, and each type stands there once.
func TestMergeAddsParts(t *testing.T) {
	t.Parallel()
	request := func(columns map[string][]int64, orders map[string]int64, period string) []Named {
		m := newMaker()
		var list []*profiles.Profile
		for _, typ := range []string{"inuse_space", "alloc_space", "alloc_objects"} {
			values, ok := columns[typ]
			if !ok {
				continue
			}
			p := &profiles.Profile{SampleType: m.valueType(typ, "count"), TimeUnixNano: 1000, DurationNano: 5}
			if period != "" {
				p.PeriodType, p.Period = m.valueType(period, "bytes"), 512
			}
			if n, ok := orders[typ]; ok {
				p.AttributeIndices = append(p.AttributeIndices, m.attribute(AttrSampleTypeOrder, "", array(num(n))))
			}
			for i, v := range values {
				p.Samples = append(p.Samples, &profiles.Sample{StackIndex: m.stack(m.frame(string(rune('a' + i)))), Values: []int64{v}})
			}
			list = append(list, p)
		}
		m.add(nil, nil, list...)
		return valid(t, m.request(t, false))
	}
	orders := map[string]int64{"alloc_objects": 0, "alloc_space": 1, "inuse_space": 2}
	var all []Named
	all = append(all, request(map[string][]int64{"alloc_space": {40_000, 4035}, "alloc_objects": {1, 2}}, orders, "space")...)
	all = append(all, request(map[string][]int64{"alloc_space": {5000, 0, 965}}, orders, "space")...)
	all = append(all, request(map[string][]int64{"inuse_space": {7}}, orders, "space")...)
	all = append(all, request(map[string][]int64{"alloc_space": {1}, "inuse_space": {1}}, nil, "")...)
	all = append(all, request(map[string][]int64{"alloc_space": {100}}, nil, "another")...)
	merged, err := Merge(all)
	if err != nil {
		t.Fatal(err)
	}
	want := `: alloc_objects/count alloc_space/count inuse_space/count every 512 space/bytes at 1000 for 5
[1 45001 8] a
[2 4035 0] b
[0 965 0] c
: alloc_space/count every 512 another/bytes at 1000 for 5
[100] a
`
	if diff := cmp.Diff(want, renderAll(t, merged)); diff != "" {
		t.Error(diff)
	}
}

// A Profile that does not say its position has a place of its own: a sample type does
// not stand in a pprof profile twice because only one of two has said so.
func TestSampleTypesStandOnce(t *testing.T) {
	t.Parallel()
	m := newMaker()
	one := func(v int64) *profiles.Profile {
		return &profiles.Profile{SampleType: m.valueType("alloc_space", "bytes"), TimeUnixNano: 1000,
			Samples: []*profiles.Sample{{StackIndex: m.stack(m.frame("f")), Values: []int64{v}}}}
	}
	ordered := one(3)
	ordered.AttributeIndices = []int32{m.attribute(AttrSampleTypeOrder, "", array(num(0)))}
	m.add(nil, nil, one(4), ordered)
	merged, err := Merge(valid(t, m.request(t, false)))
	if err != nil {
		t.Fatal(err)
	}
	if got := renderAll(t, merged); got != ": alloc_space/bytes at 1000 for 0\n[7] f\n" {
		t.Error(got)
	}
}

// A profile of a wrong clock does not stretch the whole.
func TestMergeOfAWrongClock(t *testing.T) {
	t.Parallel()
	const now, second = 1_700_000_000_000_000_000, 1_000_000_000
	for _, wild := range []uint64{1, now + 89*365*24*3600*second, 1<<63 - 1} {
		m := newMaker()
		for _, time := range []uint64{now, now + 10*second, wild, now + 20*second} {
			m.add(nil, nil, &profiles.Profile{SampleType: m.valueType("cpu", "ns"), TimeUnixNano: time, DurationNano: 10 * second,
				Samples: []*profiles.Sample{{StackIndex: m.stack(m.frame("f")), Values: []int64{1}}}})
		}
		merged, err := Merge(valid(t, m.request(t, false)))
		if err != nil {
			t.Fatal(err)
		}
		if p := merged[0].Profile; len(merged) != 1 || p.TimeNanos != now || p.DurationNanos != 30*second || p.Sample[0].Value[0] != 4 {
			t.Errorf("with a profile at %d: at %d for %d", wild, p.TimeNanos, p.DurationNanos)
		}
	}
}

// Comments are read as the semantic conventions have them, and as the Collector's
// translator writes them: an attribute for each.
func TestComments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		of   func(m *maker) []int32
		want []string
	}{
		"a list":   {func(m *maker) []int32 { return []int32{m.attribute(AttrComment, "", array(str("x"), str("y")))} }, []string{"x", "y"}},
		"one text": {func(m *maker) []int32 { return []int32{m.attribute(AttrComment, "", str("x"))} }, []string{"x"}},
		"the Collector's": {func(m *maker) []int32 {
			return []int32{
				m.attribute(AttrComment+".10", "", str("last")), m.attribute(AttrComment+".1", "", str("y")), m.attribute(AttrComment+".0", "", str("x")),
				m.attribute(AttrComment+".z", "", str("no number")), m.attribute(AttrComment+".", "", str("none")),
			}
		}, []string{"x", "y", "last"}},
	} {
		m := newMaker()
		m.add(nil, nil, &profiles.Profile{SampleType: m.valueType("cpu", "ns"), AttributeIndices: c.of(m),
			Samples: []*profiles.Sample{{StackIndex: m.stack(m.frame("f")), Values: []int64{1}}}})
		list := valid(t, m.request(t, false))
		if diff := cmp.Diff(c.want, list[0].Profile.Comments); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
