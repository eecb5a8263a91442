package attributesprocessor

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/actiontest"
)

// attributeLists are the attributes of each profile and of each sample, as far as they have
// an index that is not 0.
func attributeLists(m *colprofiles.ExportProfilesServiceRequest) (lists [][]*commonpb.KeyValue) {
	resolve := func(indices []int32) {
		var list []*commonpb.KeyValue
		for _, i := range indices {
			if i > 0 {
				a := m.Dictionary.AttributeTable[i]
				list = append(list, &commonpb.KeyValue{KeyStrindex: a.KeyStrindex, Value: a.Value})
			}
		}
		lists = append(lists, list)
	}
	for _, rp := range m.ResourceProfiles {
		for _, sp := range rp.ScopeProfiles {
			for _, p := range sp.Profiles {
				resolve(p.AttributeIndices)
				for _, s := range p.Samples {
					resolve(s.AttributeIndices)
				}
			}
		}
	}
	return lists
}

// named puts the keys in place, and drops what does not matter: a value that is empty is none.
func named(list []*commonpb.KeyValue, table []string) (out []*commonpb.KeyValue) {
	for _, kv := range list {
		kv = proto.Clone(kv).(*commonpb.KeyValue)
		if i := kv.KeyStrindex; kv.Key == "" && int(i) < len(table) && i > 0 {
			kv.Key = table[i]
		}
		if kv.KeyStrindex = 0; kv.Value == nil {
			kv.Value = &commonpb.AnyValue{}
		}
		out = append(out, kv)
	}
	return out
}

func verifyProfiles(t testing.TB, p *otlpedit.Pass, actions []attraction.Action, request []byte) bool {
	t.Helper()
	items, err := otlp.Check(otlp.Profiles, request)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(request)
	v, edited, err := p.Run(otlp.Profiles, request, items, otlpedit.Heap{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, request) {
		t.Fatal("the original was written to")
	}
	if v == otlpedit.Keep {
		edited = request
	}
	if n, err := otlp.Check(otlp.Profiles, edited); err != nil || n != items {
		t.Fatalf("the result has %d items of %d: %v", n, items, err)
	}
	want, got := &colprofiles.ExportProfilesServiceRequest{}, &colprofiles.ExportProfilesServiceRequest{}
	if proto.Unmarshal(request, want) != nil {
		t.Skip("the official module refuses what is not UTF-8")
	}
	if err := proto.Unmarshal(edited, got); err != nil {
		t.Fatal(err)
	}
	table := want.GetDictionary().GetStringTable()
	if table == nil {
		table = []string{}
	}
	lists := attributeLists(got)
	for i, list := range attributeLists(want) {
		for j := range list {
			list[j] = proto.Clone(list[j]).(*commonpb.KeyValue)
		}
		wanted := named(actiontest.Apply(t, list, actions, table), table)
		if found := named(lists[i], got.GetDictionary().GetStringTable()); !slices.EqualFunc(wanted, found, func(a, b *commonpb.KeyValue) bool { return proto.Equal(a, b) }) {
			t.Fatalf("%+v, list %d: %s", actions, i, cmp.Diff(wanted, found, protocmp.Transform()))
		}
	}
	// The entries that there were stay, for others.
	for i, a := range want.GetDictionary().GetAttributeTable() {
		if !proto.Equal(a, got.Dictionary.AttributeTable[i]) {
			t.Fatalf("attribute %d has changed", i)
		}
	}
	return v == otlpedit.Replace
}

func TestProfiles(t *testing.T) {
	for i, actions := range actiontest.Plans {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			p := passOf(t, Config{Actions: actions}, otlp.Profiles)
			changed := 0
			for seed := range int64(60) {
				if verifyProfiles(t, p, actions, testkit.NewRandom(seed).Request(otlp.Profiles)) {
					changed++
				}
			}
			for seed := range uint64(6) {
				verifyProfiles(t, p, actions, testkit.Request(rand.New(rand.NewPCG(seed, uint64(i))), otlp.Profiles, int(seed)))
			}
			if changed == 0 {
				t.Error("no request was changed: the test tests nothing")
			}
		})
	}
}

// The second processor reads what the first has added to the dictionary.
func TestProfilesInOnePass(t *testing.T) {
	t.Parallel()
	first := []attraction.Action{{Key: "new", Action: "insert", Value: "x"}, {Key: "a", Action: "update", Value: 7}}
	second := []attraction.Action{{Key: "newer", Action: "insert", FromAttribute: "new"}, {Key: "new", Action: "delete"}, {Key: "a", Action: "hash"}}
	cfg1, cfg2 := Config{Actions: first}, Config{Actions: second}
	plan1, err1 := cfg1.plan(otlp.Profiles)
	plan2, err2 := cfg2.plan(otlp.Profiles)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	p := otlpedit.NewPass(plan1, plan2)
	for seed := range int64(60) {
		verifyProfiles(t, p, append(first[:2:2], second...), testkit.NewRandom(seed).Request(otlp.Profiles))
	}
}
