package debugexporter

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

const (
	// shownFrames is how many functions of a profile normal shows.
	shownFrames = 5
	// maxLeaves bounds the locations of a profile that are added up separately: 0.5 MiB
	// for each exporter, allocated when it shows its first profile. Samples of further
	// locations are added up in one line.
	maxLeaves = 1 << 14
	slotBits  = 15 // twice as many slots as leaves
)

// leaf is a location on top of stacks, and the sum of the samples there.
type leaf struct {
	location, function int32
	slot               uint32
	value              float64 // an int64 could overflow
}

// leafTable adds up values by location. It is a hash table, since clearing a map takes
// the time of the largest profile for each of the small ones after it.
type leafTable struct {
	slots  []int32 // indices in leaves + 1
	leaves []leaf
	factor uint64 // random, so that senders cannot choose locations that collide
}

func (t *leafTable) begin() {
	if t.slots == nil {
		t.slots, t.leaves, t.factor = make([]int32, 1<<slotBits), make([]leaf, 0, maxLeaves), rand.Uint64()|1
	}
	t.leaves = t.leaves[:0]
}

// add reports whether there was room for the location.
func (t *leafTable) add(location int32, value float64) bool {
	const mask = 1<<slotBits - 1
	slot := uint32(uint64(uint32(location)) * t.factor >> (64 - slotBits))
	for ; t.slots[slot] != 0; slot = (slot + 1) & mask {
		if l := &t.leaves[t.slots[slot]-1]; l.location == location {
			l.value += value
			return true
		}
	}
	if len(t.leaves) == maxLeaves {
		return false
	}
	t.leaves = append(t.leaves, leaf{location: location, slot: slot, value: value})
	t.slots[slot] = int32(len(t.leaves))
	return true
}

// end clears the table and returns its leaves, which are valid until begin.
func (t *leafTable) end() []leaf {
	for _, l := range t.leaves {
		t.slots[l.slot] = 0
	}
	return t.leaves
}

// topFrames prints the functions in which most of a profile was sampled, without those
// that they called:
//
//	-> 62.5% 1.25s main.work (main.go)
func (p *printer) topFrames(f otlp.ProfileFields) {
	total, others := 0.0, 0.0
	p.leaves.begin()
	n := 0
	for s := range f.Samples.All() {
		if n++; n%lookEvery == 0 && p.done() || p.full {
			break
		}
		sample := s.Decode()
		value := sampleValue(sample)
		total += value
		if !p.leaves.add(p.firstLocation(sample.StackIndex), value) {
			others += value
		}
	}
	unit := string(p.dict.String(f.SampleType.UnitStrindex()))
	shown := 0
	for _, l := range p.byFunction(p.leaves.end()) {
		if shown == shownFrames || l.value == 0 || p.full {
			break
		}
		shown++
		p.share(l.value, total, unit)
		p.topFrame(l.location)
		p.nl()
	}
	if others != 0 {
		p.share(others, total, unit)
		p.s("in other frames than the first ").int(maxLeaves).nl()
	}
}

// share begins the line of a frame.
func (p *printer) share(value, total float64, unit string) {
	p.arrow("")
	if total > 0 && value >= 0 {
		p.bytes(strconv.AppendFloat(p.small[:0], 100*value/total, 'f', 1, 64)).s("% ")
	}
	if unit == "nanoseconds" && value < float64(1<<62) && value > -float64(1<<62) {
		p.s(time.Duration(value).String())
	} else {
		p.bytes(strconv.AppendFloat(p.small[:0], value, 'f', -1, 64))
	}
	p.s(" ")
}

// sampleValue is the sum of a sample's values, or if it has none how often it occurred.
func sampleValue(s otlp.SampleFields) (sum float64) {
	n := 0
	for v := range s.Values.All() {
		sum += float64(v)
		n++
	}
	if n == 0 {
		sum = float64(max(s.TimestampsUnixNano.Len(), 1))
	}
	return sum
}

// firstLocation returns the location on top of a stack, 0 if there is none. It reads, and
// subtracts from the budget, only what is before its end.
func (p *printer) firstLocation(stack int32) int32 {
	c := wire.Cursor{Buf: p.dict.Stack(stack)}
	for c.Next() {
		switch {
		case c.Num != otlpfield.StackLocationIndices:
		case c.Type == wire.TypeVarint:
			p.spend(c.End)
			return int32(c.Scalar)
		case len(c.Bytes) > 0:
			p.spend(c.End - len(c.Bytes))
			first, _, _ := wire.Varint(c.Bytes, 0) // checked
			return int32(first)
		}
	}
	p.spend(c.End)
	return 0
}

// byFunction adds up the leaves of one function, and sorts by value.
func (p *printer) byFunction(leaves []leaf) []leaf {
	for i := range leaves {
		for line := range look(p, p.dict.Location(leaves[i].location)).Lines().All() {
			leaves[i].function = line.FunctionIndex() // of the innermost
			break
		}
		if p.full {
			return nil
		}
	}
	slices.SortFunc(leaves, func(a, b leaf) int {
		return cmp.Or(cmp.Compare(a.function, b.function), cmp.Compare(a.location, b.location))
	})
	merged := leaves[:0]
	for _, l := range leaves {
		if n := len(merged); n > 0 && l.function != 0 && merged[n-1].function == l.function {
			merged[n-1].value += l.value
			continue
		}
		merged = append(merged, l)
	}
	slices.SortStableFunc(merged, func(a, b leaf) int { return cmp.Compare(b.value, a.value) })
	return merged
}

// topFrame prints the function at a location with its file, or the address.
func (p *printer) topFrame(location int32) {
	if location == 0 {
		p.s("(no stack)")
		return
	}
	l := look(p, p.dict.Location(location))
	for line := range l.Lines().All() {
		p.function(look(p, p.dict.Function(line.FunctionIndex())).Decode(), otlp.LineFields{})
		return
	}
	p.addr(l.Address())
	if file := p.dict.String(look(p, p.dict.Mapping(l.MappingIndex())).FilenameStrindex()); len(file) > 0 {
		p.s(" in ").str(file)
	}
}
