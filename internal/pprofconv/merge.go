package pprofconv

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/google/pprof/profile"
)

// LabelProfile is the label and the attribute that distinguishes profiles with the same
// sample types, such as Go's mutex and block profiles. The pprof receiver sets it.
const LabelProfile = "penstock.pprof.profile"

// KindsOf returns the values of LabelProfile in the samples of a profile, sorted.
func KindsOf(p *profile.Profile) []string {
	var all []string
	for _, s := range p.Sample {
		for _, k := range s.Label[LabelProfile] {
			if !slices.Contains(all, k) {
				all = append(all, k)
			}
		}
	}
	slices.Sort(all)
	return all
}

// Merge returns the sum of the profiles for each set of sample types and each value of
// LabelProfile, in the order of their first profile. The attributes of the resource
// become labels of each sample, unless the sample has a label of that name. The profiles
// in list must not be used afterwards.
func Merge(list []Named) ([]Named, error) {
	var kinds []string
	byKind := map[string][]Named{}
	for _, n := range list {
		for _, s := range n.Profile.Sample {
			addResource(s, n.resource)
		}
		k := kindOf(n.Profile)
		if byKind[k] == nil {
			kinds = append(kinds, k)
		}
		byKind[k] = append(byKind[k], n)
	}
	merged := make([]Named, 0, len(kinds))
	for _, k := range kinds {
		n, err := mergeKind(byKind[k])
		if err != nil {
			return nil, err
		}
		merged = append(merged, n)
	}
	return merged, nil
}

func addResource(s *profile.Sample, resource []label) {
	for _, l := range resource {
		if s.Label[l.key] == nil && s.NumLabel[l.key] == nil {
			l.addTo(s)
		}
	}
}

// kindOf returns a key that is equal for profiles that can be added: those with the same
// sample types, period type and LabelProfile.
func kindOf(p *profile.Profile) string {
	var k []byte
	types := append([]*profile.ValueType{p.PeriodType}, p.SampleType...)
	for _, t := range types {
		if t == nil {
			t = &profile.ValueType{}
		}
		k = append(strconv.AppendQuote(strconv.AppendQuote(k, t.Type), t.Unit), ' ')
	}
	for _, name := range KindsOf(p) {
		k = strconv.AppendQuote(k, name)
	}
	return string(k)
}

func mergeKind(list []Named) (Named, error) {
	out := Named{Scope: list[0].Scope, ScopeVersion: list[0].ScopeVersion}
	profiles := make([]*profile.Profile, 0, len(list))
	names := map[string]bool{}
	var begin, end, longest int64
	for _, n := range list {
		p := n.Profile
		profiles = append(profiles, p)
		names[n.Name] = true
		longest = max(longest, p.DurationNanos)
		if p.TimeNanos == 0 {
			continue
		}
		if begin == 0 || p.TimeNanos < begin {
			begin = p.TimeNanos
		}
		end = max(end, p.TimeNanos+p.DurationNanos)
	}
	merged, err := profile.Merge(profiles)
	if err != nil {
		return Named{}, fmt.Errorf("merge %d profiles: %w", len(list), err)
	}
	// The library adds the durations, as if one profile was taken after the other.
	merged.TimeNanos, merged.DurationNanos = begin, max(longest, end-begin)
	out.Profile, out.Name = merged, list[0].Name
	if len(names) > 1 {
		out.Name = fmt.Sprintf("%d resources", len(names))
	}
	return out, nil
}
