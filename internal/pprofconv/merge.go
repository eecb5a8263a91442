package pprofconv

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

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

// Merge adds up profiles that have a sample type in common, with the same LabelProfile:
// parts of one profile may have come in several requests, and some of its types only in
// some of them. The result has all their types. Profiles with different period types
// remain apart. The order is that of the first profiles.
//
// The attributes of the resource become labels of each sample, unless the sample has a
// label of that name. The profiles in list must not be used afterwards.
func Merge(list []Named) ([]Named, error) {
	var groups []*mergeGroup
	for _, n := range list {
		for _, s := range n.Profile.Sample {
			addResource(s, n.resource)
		}
		for _, part := range byKind(n) {
			groups = addToGroups(groups, part)
		}
	}
	merged := make([]Named, 0, len(groups))
	for _, g := range groups {
		n, err := g.merge()
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

// byKind splits a profile by the LabelProfile of its samples.
func byKind(n Named) []Named {
	if len(KindsOf(n.Profile)) == 0 {
		return []Named{n}
	}
	var parts []Named
	at := map[string]int{}
	for _, s := range n.Profile.Sample {
		kind := fmt.Sprintf("%q", s.Label[LabelProfile])
		i, ok := at[kind]
		if !ok {
			i = len(parts)
			at[kind] = i
			part := n
			part.Profile = withoutSamples(n.Profile)
			parts = append(parts, part)
		}
		parts[i].Profile.Sample = append(parts[i].Profile.Sample, s)
	}
	return parts
}

func withoutSamples(p *profile.Profile) *profile.Profile {
	return &profile.Profile{
		SampleType: p.SampleType, DefaultSampleType: p.DefaultSampleType,
		Mapping: p.Mapping, Location: p.Location, Function: p.Function,
		Comments: p.Comments, DocURL: p.DocURL, DropFrames: p.DropFrames, KeepFrames: p.KeepFrames,
		TimeNanos: p.TimeNanos, DurationNanos: p.DurationNanos, PeriodType: p.PeriodType, Period: p.Period,
	}
}

// mergeGroup is profiles that are added up.
type mergeGroup struct {
	list   []Named
	kinds  []string // of LabelProfile
	period profile.ValueType
	types  []mergedType
}

// mergedType is a sample type of a group; order is its position in the pprof file, -1 if
// that is unknown.
type mergedType struct {
	profile.ValueType
	order int
}

// addToGroups adds a profile to the groups that it has a sample type in common with,
// which become one.
func addToGroups(groups []*mergeGroup, n Named) []*mergeGroup {
	var to *mergeGroup
	kinds := KindsOf(n.Profile)
	rest := groups[:0]
	for _, g := range groups {
		switch {
		case !g.takes(n.Profile, kinds):
		case to == nil:
			to = g
		case samePeriod(to.period, g.period):
			to.add(g)
			continue
		}
		rest = append(rest, g)
	}
	one := &mergeGroup{list: []Named{n}, kinds: kinds}
	one.addTypes(n.types())
	if n.Profile.PeriodType != nil {
		one.period = *n.Profile.PeriodType
	}
	if to == nil {
		return append(rest, one)
	}
	to.add(one)
	return rest
}

// samePeriod: a period type that is not known may be any.
func samePeriod(a, b profile.ValueType) bool {
	none := profile.ValueType{}
	return a == b || a == none || b == none
}

func (g *mergeGroup) add(other *mergeGroup) {
	g.list = append(g.list, other.list...)
	g.addTypes(other.types)
	if g.period == (profile.ValueType{}) {
		g.period = other.period
	}
}

func (g *mergeGroup) takes(p *profile.Profile, kinds []string) bool {
	return (p.PeriodType == nil || samePeriod(*p.PeriodType, g.period)) && slices.Equal(kinds, g.kinds) &&
		slices.ContainsFunc(p.SampleType, func(t *profile.ValueType) bool { return g.indexOf(*t) >= 0 })
}

func (g *mergeGroup) indexOf(t profile.ValueType) int {
	return slices.IndexFunc(g.types, func(has mergedType) bool { return has.ValueType == t })
}

// types returns the sample types of a profile.
func (n *Named) types() (list []mergedType) {
	for i, t := range n.Profile.SampleType {
		order := -1
		if i < len(n.orders) {
			order = n.orders[i]
		}
		list = append(list, mergedType{*t, order})
	}
	return list
}

func (g *mergeGroup) addTypes(types []mergedType) {
	for _, t := range types {
		if i := g.indexOf(t.ValueType); i < 0 {
			g.types = append(g.types, t)
		} else if g.types[i].order < 0 {
			g.types[i].order = t.order
		}
	}
}

// merge adds up the profiles of a group.
func (g *mergeGroup) merge() (Named, error) {
	first := g.list[0]
	out := Named{Name: first.Name, Scope: first.Scope, ScopeVersion: first.ScopeVersion}
	slices.SortStableFunc(g.types, func(a, b mergedType) int { return cmp.Compare(a.order, b.order) })
	profiles := make([]*profile.Profile, 0, len(g.list))
	names := map[string]bool{}
	for _, n := range g.list {
		g.widen(n.Profile)
		profiles = append(profiles, n.Profile)
		names[n.Name] = true
	}
	merged, err := profile.Merge(profiles)
	if err != nil {
		return Named{}, fmt.Errorf("merge %d profiles: %w", len(g.list), err)
	}
	// The library adds the durations, as if one profile was taken after the other.
	merged.TimeNanos, merged.DurationNanos = spanOf(profiles)
	out.Profile = merged
	for _, t := range g.types {
		out.orders = append(out.orders, t.order)
	}
	if len(names) > 1 {
		out.Name = fmt.Sprintf("%d resources", len(names))
	}
	return out, nil
}

// widen gives a profile all sample types of the group, and its period type. A type that
// stands in it twice is added up.
func (g *mergeGroup) widen(p *profile.Profile) {
	column := make([]int, len(p.SampleType))
	for i, t := range p.SampleType {
		column[i] = g.indexOf(*t)
	}
	for _, s := range p.Sample {
		values := make([]int64, len(g.types))
		for i, v := range s.Value {
			values[column[i]] += v
		}
		s.Value = values
	}
	p.SampleType = nil
	for _, t := range g.types {
		p.SampleType = append(p.SampleType, &t.ValueType)
	}
	period := g.period
	p.PeriodType = &period
}

// maxSpan is how far from the others' times the time of a profile may be: what is
// farther away is a wrong clock, and does not stretch the whole.
const maxSpan = 366 * 24 * time.Hour

// spanOf returns when the first profile begins, and how long it is to the end of the
// last.
func spanOf(list []*profile.Profile) (begin, duration int64) {
	var times []int64
	longest := int64(0)
	for _, p := range list {
		longest = max(longest, p.DurationNanos)
		if p.TimeNanos > 0 {
			times = append(times, p.TimeNanos)
		}
	}
	if len(times) == 0 {
		return 0, longest
	}
	slices.Sort(times)
	middle, end := times[(len(times)-1)/2], int64(0)
	for _, p := range list {
		if p.TimeNanos <= 0 || time.Duration(p.TimeNanos-middle).Abs() > maxSpan {
			continue
		}
		if begin == 0 || p.TimeNanos < begin {
			begin = p.TimeNanos
		}
		end = max(end, p.TimeNanos+min(p.DurationNanos, math.MaxInt64-p.TimeNanos))
	}
	return begin, max(longest, end-begin)
}
