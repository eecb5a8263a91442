package testkit

import (
	"fmt"
	"slices"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
)

// request checks everything outside the dictionary.
func (c *conformance) request(m *colprofiles.ExportProfilesServiceRequest) {
	if len(m.ResourceProfiles) == 0 {
		c.fault("resource_profiles", "the list is empty")
	}
	for i, rp := range m.ResourceProfiles {
		where := fmt.Sprintf("resource_profiles[%d]", i)
		c.keyValues(where+".resource.attributes", rp.Resource.GetAttributes())
		if len(rp.ScopeProfiles) == 0 {
			c.fault(where+".scope_profiles", "the list is empty")
		}
		for i, sp := range rp.ScopeProfiles {
			where := fmt.Sprintf("%s.scope_profiles[%d]", where, i)
			c.keyValues(where+".scope.attributes", sp.Scope.GetAttributes())
			if len(sp.Profiles) == 0 {
				c.fault(where+".profiles", "the list is empty")
			}
			for i, p := range sp.Profiles {
				c.profile(fmt.Sprintf("%s.profiles[%d]", where, i), p)
			}
		}
	}
}

func (c *conformance) profile(where string, p *profiles.Profile) {
	c.valueType(where+".sample_type", p.SampleType)
	c.valueType(where+".period_type", p.PeriodType)
	c.attributes(where, p.AttributeIndices)
	if len(p.ProfileId) != 0 {
		c.id(where+".profile_id", p.ProfileId, 16)
	}
	if (len(p.OriginalPayload) > 0) != (p.OriginalPayloadFormat != "") {
		c.fault(where, "one of original_payload and original_payload_format is set without the other")
	}
	identities := map[string]int{}
	for i, s := range p.Samples {
		at := fmt.Sprintf("%s.samples[%d]", where, i)
		c.sample(at, p, s)
		if shapeOf(s) != shapeOf(p.Samples[0]) {
			c.fault(at, "it has %s, sample 0 has %s", shapeOf(s), shapeOf(p.Samples[0]))
		}
		id := identity(s)
		if first, ok := identities[id]; ok {
			c.fault(at, "it has the stack, attributes and link of sample %d", first)
		}
		identities[id] = i
	}
}

func (c *conformance) valueType(where string, v *profiles.ValueType) {
	c.text(where+".type_strindex", v.GetTypeStrindex())
	c.text(where+".unit_strindex", v.GetUnitStrindex())
}

func (c *conformance) sample(where string, p *profiles.Profile, s *profiles.Sample) {
	c.ref(where+".stack_index", stackTable, s.StackIndex)
	c.ref(where+".link_index", linkTable, s.LinkIndex)
	c.attributes(where, s.AttributeIndices)
	values, times := len(s.Values), len(s.TimestampsUnixNano)
	switch {
	case values == 0 && times == 0:
		c.fault(where, "it has neither values nor timestamps")
	case times == 0 && values != 1:
		c.fault(where, "it has %d values and no timestamps: expected one value", values)
	case values > 0 && times > 0 && values != times:
		c.fault(where, "it has %d values for %d timestamps", values, times)
	}
	for _, ts := range s.TimestampsUnixNano {
		if ts < p.TimeUnixNano || ts-p.TimeUnixNano >= p.DurationNano {
			c.fault(where, "timestamp %d is outside the profile, %d and %d ns", ts, p.TimeUnixNano, p.DurationNano)
		}
	}
}

// shapeOf says which of the two lists a sample has. All samples of a profile should
// have the same.
func shapeOf(s *profiles.Sample) string {
	switch {
	case len(s.Values) > 0 && len(s.TimestampsUnixNano) > 0:
		return "values and timestamps"
	case len(s.Values) > 0:
		return "values"
	case len(s.TimestampsUnixNano) > 0:
		return "timestamps"
	}
	return "nothing"
}

// identity is what two samples of a profile should not have in common
// (profiles.proto, Sample).
func identity(s *profiles.Sample) string {
	set := slices.Clone(s.AttributeIndices)
	slices.Sort(set)
	return fmt.Sprint(s.StackIndex, s.LinkIndex, slices.Compact(set))
}
