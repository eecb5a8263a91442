package testkit

import (
	"fmt"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// CheckBackends fails the test for each Profile that one of the backends that take OTLP
// profiles refuses, in whole or in part, beyond what OTLP says:
//
//	Parca      a Profile has a sample type and a period type
//	Pyroscope  a sample has a number or times; where the Profile has a period, at most one number
//	Elastic    a sample of CPU time with times: each of its locations has a frame type
func CheckBackends(t testing.TB, request []byte) {
	t.Helper()
	for _, fault := range BackendFaults(request) {
		t.Error(fault)
	}
}

// BackendFaults returns what CheckBackends finds.
func BackendFaults(request []byte) (faults []string) {
	m := &colprofiles.ExportProfilesServiceRequest{}
	if err := proto.Unmarshal(request, m); err != nil {
		return []string{fmt.Sprintf("the request is not protobuf: %v", err)}
	}
	b := &backends{dict: m.Dictionary}
	for _, rp := range m.ResourceProfiles {
		for _, sp := range rp.ScopeProfiles {
			for _, p := range sp.Profiles {
				b.profile(p)
			}
		}
	}
	return b.faults
}

type backends struct {
	dict   *profiles.ProfilesDictionary
	faults []string
}

func (b *backends) fault(format string, args ...any) {
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, fmt.Sprintf(format, args...))
	}
}

func (b *backends) text(i int32) string { return b.dict.StringTable[i] }

func (b *backends) profile(p *profiles.Profile) {
	if p.SampleType == nil || p.PeriodType == nil {
		b.fault("Parca refuses a Profile without a sample type, or without a period type")
		return
	}
	isCPU := b.text(p.SampleType.TypeStrindex) == "samples" && b.text(p.PeriodType.TypeStrindex) == "cpu"
	for i, s := range p.Samples {
		switch values := len(s.Values); {
		case values == 0 && len(s.TimestampsUnixNano) == 0:
			b.fault("Pyroscope refuses sample %d of %s, which has neither a number nor times", i, b.text(p.SampleType.TypeStrindex))
		case values > 1 && p.Period != 0:
			b.fault("Pyroscope refuses sample %d of %s, which has %d numbers", i, b.text(p.SampleType.TypeStrindex), values)
		}
		if isCPU && len(s.TimestampsUnixNano) > 0 {
			b.frameTypes(s)
		}
	}
}

func (b *backends) frameTypes(s *profiles.Sample) {
	for _, l := range b.dict.StackTable[s.StackIndex].LocationIndices {
		has := false
		for _, a := range b.dict.LocationTable[l].AttributeIndices {
			has = has || b.text(b.dict.AttributeTable[a].KeyStrindex) == "profile.frame.type"
		}
		if !has {
			b.fault("Elastic refuses location %d, which has no frame type", l)
		}
	}
}

// NameAtPyroscope returns what Pyroscope names a Profile, as its users see it.
func NameAtPyroscope(dict *profiles.ProfilesDictionary, p *profiles.Profile) string {
	text := func(i int32) string { return dict.StringTable[i] }
	sample, period := text(p.GetSampleType().GetTypeStrindex()), ""
	if p.Period != 0 {
		period = text(p.GetPeriodType().GetTypeStrindex())
	}
	switch {
	case sample == "samples" && period == "cpu":
		return "process_cpu"
	case sample == "off_cpu" && period == "":
		return "off_cpu"
	}
	return period
}
