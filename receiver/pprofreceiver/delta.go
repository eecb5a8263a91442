package pprofreceiver

import (
	"slices"

	"github.com/google/pprof/profile"
)

// restarted says whether the process of r is another than that of before: it
// says so, or a stack has less than it had. What accumulates never shrinks, and
// no stack goes.
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

// since returns the samples of what came after before, which is nil where
// everything did. The samples are new, with nothing but 0 in the columns that do
// not accumulate; stacks of which nothing came are left out. A stack that is
// there several times is there once.
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
