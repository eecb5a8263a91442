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
