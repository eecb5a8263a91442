package pprofreceiver

import (
	"slices"

	"github.com/google/pprof/profile"
)

// restarted reports whether the process of r is another than that of before:
// its mapping differs, or a stack has a lower value. Accumulated values never
// decrease, and no stack disappears.
func (r *reading) restarted(before *baseline) bool {
	if r.now.process != before.process || !slices.Equal(r.now.columns, before.columns) {
		return true
	}
	for key, had := range before.stacks {
		has := r.now.stacks[key]
		for i, v := range had {
			if has == nil && v > 0 || has != nil && has[i] < v {
				return true
			}
		}
	}
	return false
}

// since returns samples with the differences to before, which may be nil. The
// samples are new, with 0 in the columns that do not accumulate; stacks without
// a difference are left out. Duplicate stacks are merged.
func (r *reading) since(before *baseline) []*profile.Sample {
	var out []*profile.Sample
	done := make(map[string]bool, len(r.now.stacks))
	for i, s := range r.p.Sample {
		key := r.keys[i]
		if done[key] {
			continue
		}
		done[key] = true
		var had []int64
		if before != nil {
			had = before.stacks[key]
		}
		var values []int64
		for i, v := range r.now.stacks[key] {
			if had != nil {
				v -= had[i]
			}
			if v != 0 && values == nil {
				values = make([]int64, len(s.Value))
			}
			if v != 0 {
				values[r.columns[i]] = v
			}
		}
		if values != nil {
			out = append(out, &profile.Sample{
				Location: s.Location, Value: values, Label: s.Label, NumLabel: s.NumLabel, NumUnit: s.NumUnit,
			})
		}
	}
	return out
}
