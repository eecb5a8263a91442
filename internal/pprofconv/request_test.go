package pprofconv

import (
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/protobuf/proto"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/otlp"
)

// maker writes requests with the official module. Its methods add an entry to the
// dictionary and return its index.
type maker struct {
	dict *profiles.ProfilesDictionary
	seen map[string]int32
	req  *colprofiles.ExportProfilesServiceRequest
}

func newMaker() *maker {
	d := &profiles.ProfilesDictionary{
		MappingTable: []*profiles.Mapping{{}}, LocationTable: []*profiles.Location{{}}, FunctionTable: []*profiles.Function{{}},
		LinkTable: []*profiles.Link{{}}, StringTable: []string{""}, AttributeTable: []*profiles.KeyValueAndUnit{{}}, StackTable: []*profiles.Stack{{}},
	}
	return &maker{dict: d, seen: map[string]int32{"": 0}, req: &colprofiles.ExportProfilesServiceRequest{Dictionary: d}}
}

func (m *maker) text(s string) int32 {
	i, ok := m.seen[s]
	if !ok {
		i = int32(len(m.dict.StringTable))
		m.seen[s], m.dict.StringTable = i, append(m.dict.StringTable, s)
	}
	return i
}

func add[T any](table *[]T, v T) int32 {
	*table = append(*table, v)
	return int32(len(*table) - 1)
}

func (m *maker) function(name, system, file string, start int64) int32 {
	return add(&m.dict.FunctionTable, &profiles.Function{
		NameStrindex: m.text(name), SystemNameStrindex: m.text(system), FilenameStrindex: m.text(file), StartLine: start,
	})
}

func (m *maker) location(mapping int32, address uint64, attributes []int32, lines ...*profiles.Line) int32 {
	return add(&m.dict.LocationTable, &profiles.Location{MappingIndex: mapping, Address: address, AttributeIndices: attributes, Lines: lines})
}

// frame is a location with one function.
func (m *maker) frame(name string) int32 {
	return m.location(0, 0, nil, &profiles.Line{FunctionIndex: m.function(name, "", "", 0)})
}

func (m *maker) mapping(file string, start, limit uint64, attributes ...int32) int32 {
	return add(&m.dict.MappingTable, &profiles.Mapping{
		FilenameStrindex: m.text(file), MemoryStart: start, MemoryLimit: limit, AttributeIndices: attributes,
	})
}

func (m *maker) stack(locations ...int32) int32 {
	return add(&m.dict.StackTable, &profiles.Stack{LocationIndices: locations})
}

func (m *maker) attribute(key, unit string, v *common.AnyValue) int32 {
	return add(&m.dict.AttributeTable, &profiles.KeyValueAndUnit{KeyStrindex: m.text(key), UnitStrindex: m.text(unit), Value: v})
}

func (m *maker) link(trace, span string) int32 {
	return add(&m.dict.LinkTable, &profiles.Link{TraceId: []byte(trace), SpanId: []byte(span)})
}

func (m *maker) valueType(typ, unit string) *profiles.ValueType {
	return &profiles.ValueType{TypeStrindex: m.text(typ), UnitStrindex: m.text(unit)}
}

func (m *maker) add(attributes []*common.KeyValue, scope *common.InstrumentationScope, list ...*profiles.Profile) {
	m.req.ResourceProfiles = append(m.req.ResourceProfiles, &profiles.ResourceProfiles{
		Resource:      &resource.Resource{Attributes: attributes},
		ScopeProfiles: []*profiles.ScopeProfiles{{Scope: scope, Profiles: list}},
	})
}

// request returns the bytes, which must be valid unless the caller expects otherwise.
func (m *maker) request(t *testing.T, conforms bool) []byte {
	t.Helper()
	b, err := proto.Marshal(m.req)
	if err != nil {
		t.Fatal(err)
	}
	if conforms {
		testkit.CheckProfiles(t, b)
	}
	if _, err := otlp.Check(otlp.Profiles, b); err != nil {
		t.Fatal(err)
	}
	return b
}

func str(s string) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
}

func num(n int64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: n}}
}

func boolean(b bool) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_BoolValue{BoolValue: b}}
}

func double(f float64) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_DoubleValue{DoubleValue: f}}
}

func array(values ...*common.AnyValue) *common.AnyValue {
	return &common.AnyValue{Value: &common.AnyValue_ArrayValue{ArrayValue: &common.ArrayValue{Values: values}}}
}

func kv(key string, v *common.AnyValue) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: v}
}

// valid converts a request and checks the result after a round trip through a file.
func valid(t *testing.T, request []byte) []Named {
	t.Helper()
	list, err := ToPprof(request)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range list {
		if err := n.Profile.CheckValid(); err != nil {
			t.Fatal(err)
		}
	}
	return list
}
