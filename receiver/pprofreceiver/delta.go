package pprofreceiver

import (
	"math"
	"slices"

	"github.com/google/pprof/profile"
)

// Processes are distinguished by their main mapping, and by what they have counted: that
// never decreases, and no stack disappears. A few that do so all the same (profiles are
// scaled and cut) are not a restart: their highest values are remembered, so that nothing is
// reported twice.
//
//	fetch ─► which baseline does it go on from?
//	          the last one, but for a tenth of its stacks ─► the difference
//	          one of others, in all stacks ────────────────► the difference; several processes
//	          none ────────────────────────────────────────► all of it; a restart
const (
	// fewestGone is how many stacks may always have less: a tenth of the last
	// baseline's may.
	fewestGone  = 1
	goneDivisor = 10
	// maxOthers bounds the baselines of other processes behind the same address, and
	// maxIdle after how many fetches in which it was of no use one is dropped: then it
	// is that of a process that has ended.
	maxOthers = 8
	maxIdle   = 64
)

// compared says how a reading relates to a baseline.
type compared struct {
	had, gone int     // stacks of the baseline; those of them that have less now
	halved    bool    // what is gone has less than half of its value, and has some
	grown     float64 // the sum of all differences
}

func (r *reading) compare(b *baseline) (c compared) {
	for key, had := range b.stacks {
		has := r.now.stacks[key]
		some := slices.ContainsFunc(had, func(v int64) bool { return v > 0 })
		if some {
			c.had++
		}
		if has == nil && some || has != nil && anyLess(has, had) {
			c.gone++
			c.halved = has != nil && has[0] > 0 && has[0] < had[0]/2
		}
	}
	for key, has := range r.now.stacks {
		for i, v := range has {
			c.grown += float64(max(v-b.reported(key, i), 0))
		}
	}
	return c
}

// isLast reports whether a reading goes on from the last baseline.
func (c compared) isLast() bool {
	if c.had == 1 && c.halved { // one stack is all that there is to decide by
		return false
	}
	return c.gone <= max(fewestGone, c.had/goneDivisor)
}

// sameProcess reports whether b may be of the same process as far as mapping and sample
// types tell.
func (r *reading) sameProcess(b *baseline) bool {
	return r.now.process == b.process && slices.Equal(r.now.columns, b.columns)
}

// predecessor returns the baseline that a reading goes on from: of those that it may
// have, the one that it differs least from. nil: none, the process is new.
func (r *reading) predecessor(last *baseline, others []*baseline) (found *baseline) {
	least := math.Inf(1)
	if last != nil && r.sameProcess(last) {
		if c := r.compare(last); c.isLast() {
			found, least = last, c.grown
		}
	}
	for _, b := range others {
		if !r.sameProcess(b) {
			continue
		}
		if c := r.compare(b); c.gone == 0 && c.grown < least {
			found, least = b, c.grown
		}
	}
	return found
}

// keepHighest notes the values of before, of the same process, that are not there any
// more. More than there are stacks now are given up.
func (b *baseline) keepHighest(before *baseline) {
	for _, stacks := range []map[string][]int64{before.stacks, before.highest} {
		for key, had := range stacks {
			if has := b.stacks[key]; has == nil || anyLess(has, had) {
				b.noteHighest(key, had)
			}
		}
	}
	if len(b.highest) == 0 {
		return
	}
	if len(b.highest) > max(len(b.stacks), maxHighest) {
		b.highest = nil
		return
	}
	for key, values := range b.highest {
		b.bytes += len(key) + stackOverhead + 8*len(values)
	}
	for content, n := range before.locations {
		if _, ok := b.locations[content]; !ok {
			b.locations[content] = n
			b.bytes += len(content) + locationOverhead
		}
	}
}

// maxHighest is how many stacks with less than before a baseline always has room for.
const maxHighest = 1000

func (b *baseline) noteHighest(key string, had []int64) {
	if b.highest == nil {
		b.highest = map[string][]int64{}
	}
	highest := slices.Clone(had)
	for i, v := range b.highest[key] {
		highest[i] = max(highest[i], v)
	}
	b.highest[key] = highest
}

func anyLess(has, had []int64) bool {
	for i, v := range had {
		if has[i] < v {
			return true
		}
	}
	return false
}

// reported returns how much of column i of a stack was reported before.
func (b *baseline) reported(key string, i int) (n int64) {
	if b == nil {
		return 0
	}
	for _, stacks := range []map[string][]int64{b.stacks, b.highest} {
		if had := stacks[key]; had != nil {
			n = max(n, had[i])
		}
	}
	return n
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
		var values []int64
		for i, v := range r.now.stacks[key] {
			v = max(v-before.reported(key, i), 0)
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
