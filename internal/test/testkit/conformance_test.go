package testkit

import (
	"strings"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"
)

type (
	message = colprofiles.ExportProfilesServiceRequest
	profile = profiles.Profile
)

func id(n int) []byte { return []byte(strings.Repeat("\x01", n)) }

func text(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

// rightful returns a request that breaks no rule and uses every table.
func rightful() *message {
	return &message{
		ResourceProfiles: []*profiles.ResourceProfiles{{
			Resource: &resource.Resource{Attributes: []*common.KeyValue{
				{Key: "service.name", Value: text("shop")},
				{KeyStrindex: 8, Value: &common.AnyValue{Value: &common.AnyValue_StringValueStrindex{StringValueStrindex: 9}}},
			}},
			ScopeProfiles: []*profiles.ScopeProfiles{{Profiles: []*profile{{
				SampleType:   &profiles.ValueType{TypeStrindex: 1, UnitStrindex: 2},
				PeriodType:   &profiles.ValueType{TypeStrindex: 1, UnitStrindex: 2},
				TimeUnixNano: 1000, DurationNano: 100,
				ProfileId:             id(16),
				OriginalPayload:       []byte("x"),
				OriginalPayloadFormat: "pprof",
				AttributeIndices:      []int32{1},
				Samples: []*profiles.Sample{
					{StackIndex: 1, AttributeIndices: []int32{1, 2}, TimestampsUnixNano: []uint64{1000, 1099}},
					{StackIndex: 1, LinkIndex: 1, TimestampsUnixNano: []uint64{1001}},
				},
			}}}},
		}},
		Dictionary: &profiles.ProfilesDictionary{
			StringTable:    []string{"", "cpu", "nanoseconds", "libc.so", "main", "main.c", "thread.name", "build_id", "host.name", "h1"},
			MappingTable:   []*profiles.Mapping{{}, {MemoryStart: 100, MemoryLimit: 200, FilenameStrindex: 3, AttributeIndices: []int32{2}}},
			LocationTable:  []*profiles.Location{{}, {MappingIndex: 1, Address: 150, Lines: []*profiles.Line{{FunctionIndex: 1, Line: 3}}}},
			FunctionTable:  []*profiles.Function{{}, {NameStrindex: 4, FilenameStrindex: 5, StartLine: 1}},
			LinkTable:      []*profiles.Link{{}, {TraceId: id(16), SpanId: id(8)}},
			AttributeTable: []*profiles.KeyValueAndUnit{{}, {KeyStrindex: 6, Value: text("worker")}, {KeyStrindex: 7, Value: text("abc")}},
			StackTable:     []*profiles.Stack{{}, {LocationIndices: []int32{1}}},
		},
	}
}

func faultsOf(t *testing.T, m *message) []string {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return ProfileFaults(b)
}

func TestProfileFaultsFindsNothingInARightfulRequest(t *testing.T) {
	t.Parallel()
	m := rightful()
	if faults := faultsOf(t, m); faults != nil {
		t.Errorf("%q", faults)
	}
	// The two forms of a zero entry that are in use.
	m.Dictionary.LinkTable[0] = &profiles.Link{TraceId: make([]byte, 16), SpanId: make([]byte, 8)}
	m.Dictionary.AttributeTable[0].Value = &common.AnyValue{}
	if faults := faultsOf(t, m); faults != nil {
		t.Errorf("zero entries written out: %q", faults)
	}
}

// Each rule, broken once.
func TestProfileFaults(t *testing.T) {
	t.Parallel()
	type dict = *profiles.ProfilesDictionary
	inProfile := func(f func(p *profile)) func(*message) {
		return func(m *message) { f(m.ResourceProfiles[0].ScopeProfiles[0].Profiles[0]) }
	}
	inDict := func(f func(d dict)) func(*message) { return func(m *message) { f(m.Dictionary) } }
	tests := []struct {
		want  string
		spoil func(*message)
	}{
		{"no dictionary", func(m *message) { m.Dictionary = nil }},
		{"resource_profiles: the list is empty", func(m *message) { m.ResourceProfiles = nil }},
		{"scope_profiles: the list is empty", func(m *message) { m.ResourceProfiles[0].ScopeProfiles = nil }},
		{"profiles: the list is empty", func(m *message) { m.ResourceProfiles[0].ScopeProfiles[0].Profiles = nil }},
		{"attributes[1]: both key and key_strindex", func(m *message) { m.ResourceProfiles[0].Resource.Attributes[1].Key = "x" }},
		{`attributes[2]: key "service.name" occurs twice`, func(m *message) {
			r := m.ResourceProfiles[0].Resource
			r.Attributes = append(r.Attributes, r.Attributes[0])
		}},
		{"attributes[0]: the key is empty", func(m *message) { m.ResourceProfiles[0].Resource.Attributes[0].Key = "" }},
		{"key_strindex: index 99 is outside string_table", func(m *message) { m.ResourceProfiles[0].Resource.Attributes[1].KeyStrindex = 99 }},

		{"sample_type.type_strindex: index 99", inProfile(func(p *profile) { p.SampleType.TypeStrindex = 99 })},
		{"period_type.unit_strindex: index -1", inProfile(func(p *profile) { p.PeriodType.UnitStrindex = -1 })},
		{"profile_id: it has 7 bytes", inProfile(func(p *profile) { p.ProfileId = []byte("ELASTIC") })},
		{"profile_id: it is all zeros", inProfile(func(p *profile) { p.ProfileId = make([]byte, 16) })},
		{"original_payload_format is set without", inProfile(func(p *profile) { p.OriginalPayload = nil })},
		{"profiles[0].attribute_indices: index 99", inProfile(func(p *profile) { p.AttributeIndices = []int32{99} })},

		{"stack_index: index 9", inProfile(func(p *profile) { p.Samples[0].StackIndex = 9 })},
		{"link_index: index 9", inProfile(func(p *profile) { p.Samples[0].LinkIndex = 9 })},
		{`key "thread.name" occurs twice`, inProfile(func(p *profile) { p.Samples[0].AttributeIndices = []int32{1, 1} })},
		{"neither values nor timestamps", inProfile(func(p *profile) { p.Samples[0].TimestampsUnixNano = nil })},
		{"2 values and no timestamps", inProfile(func(p *profile) { p.Samples[0].TimestampsUnixNano, p.Samples[0].Values = nil, []int64{1, 2} })},
		{"1 values for 2 timestamps", inProfile(func(p *profile) { p.Samples[0].Values = []int64{1} })},
		{"timestamp 1100 is outside", inProfile(func(p *profile) { p.Samples[0].TimestampsUnixNano[1] = 1100 })},
		{"timestamp 999 is outside", inProfile(func(p *profile) { p.Samples[0].TimestampsUnixNano[0] = 999 })},
		{"has values and timestamps, sample 0 has timestamps", inProfile(func(p *profile) { p.Samples[1].Values = []int64{1} })},
		{"link of sample 0", inProfile(func(p *profile) { p.Samples[1].LinkIndex, p.Samples[1].AttributeIndices = 0, []int32{2, 1} })},

		{"string_table: it is empty", inDict(func(d dict) { d.StringTable = nil })},
		{"string_table[0]", inDict(func(d dict) { d.StringTable[0] = "x" })},
		{`string_table[3]: "cpu" is entry 1 too`, inDict(func(d dict) { d.StringTable[3] = "cpu" })},
		{"string_table[10]: nothing refers to it", inDict(func(d dict) { d.StringTable = append(d.StringTable, "orphan") })},
		{"mapping_table: it is empty", inDict(func(d dict) { d.MappingTable = nil })},
		{"mapping_table[0]", inDict(func(d dict) { d.MappingTable[0].MemoryStart = 1 })},
		{"mapping_table[1]: memory_start 0xc8 is not below", inDict(func(d dict) { d.MappingTable[1].MemoryStart = 200 })},
		{"mapping_table[1].filename_strindex: index 99", inDict(func(d dict) { d.MappingTable[1].FilenameStrindex = 99 })},
		{"location_table: it is empty", inDict(func(d dict) { d.LocationTable = nil })},
		{"location_table[0]", inDict(func(d dict) { d.LocationTable[0].Address = 1 })},
		{"location_table[1]: address 0xc8 is outside its mapping", inDict(func(d dict) { d.LocationTable[1].Address = 200 })},
		{"location_table[1].mapping_index: index 9", inDict(func(d dict) { d.LocationTable[1].MappingIndex = 9 })},
		{"lines[0].function_index: index 9", inDict(func(d dict) { d.LocationTable[1].Lines[0].FunctionIndex = 9 })},
		{"lines[0]: line -3", inDict(func(d dict) { d.LocationTable[1].Lines[0].Line = -3 })},
		{"location_table[2]: it is the same as entry 1", inDict(func(d dict) { d.LocationTable = append(d.LocationTable, d.LocationTable[1]) })},
		{"function_table: it is empty", inDict(func(d dict) { d.FunctionTable = nil })},
		{"function_table[0]", inDict(func(d dict) { d.FunctionTable[0].StartLine = 1 })},
		{"function_table[1]: it has no name", inDict(func(d dict) { d.FunctionTable[1].NameStrindex, d.FunctionTable[1].FilenameStrindex = 0, 0 })},
		{"function_table[1]: start_line -1", inDict(func(d dict) { d.FunctionTable[1].StartLine = -1 })},
		{"link_table: it is empty", inDict(func(d dict) { d.LinkTable = nil })},
		{"link_table[0]", inDict(func(d dict) { d.LinkTable[0].SpanId = id(8) })},
		{"link_table[1].trace_id: it has 15 bytes", inDict(func(d dict) { d.LinkTable[1].TraceId = id(15) })},
		{"link_table[1].span_id: it is all zeros", inDict(func(d dict) { d.LinkTable[1].SpanId = make([]byte, 8) })},
		{"attribute_table: it is empty", inDict(func(d dict) { d.AttributeTable = nil })},
		{"attribute_table[0]", inDict(func(d dict) { d.AttributeTable[0].Value = text("") })},
		{"attribute_table[1]: the key is empty", inDict(func(d dict) { d.AttributeTable[1].KeyStrindex = 0 })},
		{"attribute_table[1].unit_strindex: index 99", inDict(func(d dict) { d.AttributeTable[1].UnitStrindex = 99 })},
		{"stack_table: it is empty", inDict(func(d dict) { d.StackTable = nil })},
		{"stack_table[0]", inDict(func(d dict) { d.StackTable[0].LocationIndices = []int32{1} })},
		{"stack_table[1].location_indices: index 9", inDict(func(d dict) { d.StackTable[1].LocationIndices = []int32{9} })},
		{"stack_table[2]: nothing refers to it", inDict(func(d dict) { d.StackTable = append(d.StackTable, &profiles.Stack{LocationIndices: []int32{1, 1}}) })},
	}
	for _, test := range tests {
		m := rightful()
		test.spoil(m)
		if faults := faultsOf(t, m); !strings.Contains(strings.Join(faults, "\n"), test.want) {
			t.Errorf("want %q among %q", test.want, faults)
		}
	}
	if faults := ProfileFaults([]byte{0xff}); len(faults) != 1 {
		t.Errorf("not protobuf: %q", faults)
	}
}
