package testkit

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// ProfileSample is one sample of a profiles request with everything that it
// refers to, as text that does not depend on how the dictionary is laid out:
// lists of attributes are sorted, each as key=value[unit].
type ProfileSample struct {
	Resource, Scope, Profile string
	// Stack has a line for each location, leaf first.
	Stack      string
	Attributes string
	Link       string
	Times      []uint64
	Values     []int64
}

// Key is everything except times and values.
func (s ProfileSample) Key() string {
	return strings.Join([]string{s.Resource, s.Scope, s.Profile, s.Stack, s.Attributes, s.Link}, "\n--\n")
}

// ProfileSamples returns the samples of requests, in their order. It reads them
// with the official module.
func ProfileSamples(t testing.TB, requests ...[]byte) (list []ProfileSample) {
	t.Helper()
	for _, request := range requests {
		m := &colprofiles.ExportProfilesServiceRequest{}
		if err := proto.Unmarshal(request, m); err != nil {
			t.Fatalf("the request is not protobuf: %v", err)
		}
		d := speller{m.Dictionary}
		for _, rp := range m.ResourceProfiles {
			for _, sp := range rp.ScopeProfiles {
				for _, p := range sp.Profiles {
					for _, s := range p.Samples {
						list = append(list, ProfileSample{
							Resource: d.keyValues(rp.Resource.GetAttributes()),
							Scope:    sp.Scope.GetName() + " " + sp.Scope.GetVersion(),
							Profile:  d.profile(p),
							Stack:    d.stack(s.StackIndex), Attributes: d.attributes(s.AttributeIndices), Link: d.link(s.LinkIndex),
							Times: s.TimestampsUnixNano, Values: s.Values,
						})
					}
				}
			}
		}
	}
	return list
}

// speller writes what indices refer to as text.
type speller struct{ *profiles.ProfilesDictionary }

func (d speller) profile(p *profiles.Profile) string {
	return fmt.Sprintf("%s/%s period %s/%s %d %s", d.StringTable[p.SampleType.GetTypeStrindex()], d.StringTable[p.SampleType.GetUnitStrindex()],
		d.StringTable[p.PeriodType.GetTypeStrindex()], d.StringTable[p.PeriodType.GetUnitStrindex()], p.Period, d.attributes(p.AttributeIndices))
}

func (d speller) stack(i int32) string {
	var b strings.Builder
	for _, l := range d.StackTable[i].LocationIndices {
		loc := d.LocationTable[l]
		m := d.MappingTable[loc.MappingIndex]
		fmt.Fprintf(&b, "%#x", loc.Address)
		if loc.MappingIndex != 0 {
			fmt.Fprintf(&b, " in %s [%#x,%#x)+%#x {%s}", d.StringTable[m.FilenameStrindex], m.MemoryStart, m.MemoryLimit, m.FileOffset, d.attributes(m.AttributeIndices))
		}
		for _, ln := range loc.Lines {
			f := d.FunctionTable[ln.FunctionIndex]
			fmt.Fprintf(&b, " %s(%s) %s from %d:%d.%d", d.StringTable[f.NameStrindex], d.StringTable[f.SystemNameStrindex], d.StringTable[f.FilenameStrindex], f.StartLine, ln.Line, ln.Column)
		}
		fmt.Fprintf(&b, " {%s}\n", d.attributes(loc.AttributeIndices))
	}
	return b.String()
}

func (d speller) link(i int32) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprintf("%x/%x", d.LinkTable[i].TraceId, d.LinkTable[i].SpanId)
}

func (d speller) attributes(indices []int32) string {
	list := make([]string, len(indices))
	for i, n := range indices {
		a := d.AttributeTable[n]
		list[i] = fmt.Sprintf("%s=%s[%s]", d.StringTable[a.KeyStrindex], valueText(a.Value), d.StringTable[a.UnitStrindex])
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// keyValues follows references too.
func (d speller) keyValues(kvs []*common.KeyValue) string {
	list := make([]string, len(kvs))
	for i, kv := range kvs {
		key, value := kv.Key, valueText(kv.Value)
		if kv.KeyStrindex != 0 {
			key = d.StringTable[kv.KeyStrindex]
		}
		if v, ok := kv.Value.GetValue().(*common.AnyValue_StringValueStrindex); ok {
			value = fmt.Sprintf("%q", d.StringTable[v.StringValueStrindex])
		}
		list[i] = fmt.Sprintf("%s=%s[]", key, value)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// valueText tells values of different kinds apart.
func valueText(v *common.AnyValue) string {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return fmt.Sprintf("%q", v.StringValue)
	case *common.AnyValue_IntValue:
		return fmt.Sprint(v.IntValue)
	case *common.AnyValue_ArrayValue:
		list := make([]string, len(v.ArrayValue.Values))
		for i, e := range v.ArrayValue.Values {
			list[i] = valueText(e)
		}
		return "[" + strings.Join(list, ",") + "]"
	case nil:
		return "nothing"
	default:
		return fmt.Sprintf("%T %v", v, v)
	}
}
