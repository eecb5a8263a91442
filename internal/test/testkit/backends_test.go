package testkit

import (
	"strings"
	"testing"

	colprofiles "go.opentelemetry.io/proto/otlp/collector/profiles/v1development"
	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// Each rule is found to be broken.
func TestBackendFaults(t *testing.T) {
	t.Parallel()
	valueType := &profiles.ValueType{TypeStrindex: 1, UnitStrindex: 2}
	cpu := &profiles.ValueType{TypeStrindex: 3, UnitStrindex: 2}
	for want, p := range map[string]*profiles.Profile{
		"":                           {SampleType: valueType, PeriodType: cpu, Period: 1, Samples: []*profiles.Sample{{Values: []int64{7}}}},
		"without a period type":      {SampleType: valueType},
		"neither a number nor times": {SampleType: valueType, PeriodType: cpu, Samples: []*profiles.Sample{{}}},
		"which has 2 numbers":        {SampleType: valueType, PeriodType: cpu, Period: 1, Samples: []*profiles.Sample{{Values: []int64{1, 2}}}},
		"which has no frame type":    {SampleType: valueType, PeriodType: cpu, Period: 1, Samples: []*profiles.Sample{{StackIndex: 1, TimestampsUnixNano: []uint64{1}}}},
		"or without a period type":   {PeriodType: cpu},
	} {
		m := &colprofiles.ExportProfilesServiceRequest{
			Dictionary: &profiles.ProfilesDictionary{
				StringTable: []string{"", "samples", "count", "cpu"}, LocationTable: []*profiles.Location{{}, {Address: 1}},
				StackTable: []*profiles.Stack{{}, {LocationIndices: []int32{1}}},
			},
			ResourceProfiles: []*profiles.ResourceProfiles{{ScopeProfiles: []*profiles.ScopeProfiles{{Profiles: []*profiles.Profile{p}}}}},
		}
		request, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(BackendFaults(request), "\n")
		if (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
