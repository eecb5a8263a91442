package pprofreceiver

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/google/pprof/profile"
)

// A baseline is what a cumulative profile held at a time: the values of each
// stack, by what the stack consists of. Stacks are equal if their frames and
// labels are, to the byte: function names, files, lines, addresses, mappings.
// Ids and hashes have no part in it.
//
//	locations  "mapping address lines…" ──► number     the same in all baselines of a
//	stacks     "numbers… labels…"       ──► values     job, so that keys compare
type baseline struct {
	when      time.Time // of the profile, by the clock of its windows
	asked     time.Time // by our clock
	process   string    // what tells one run of the process from the next
	columns   []string  // sample types that accumulate, with units
	locations map[string]uint64
	unused    uint64 // the next number
	stacks    map[string][]int64
	highest   map[string][]int64 // of stacks that have less than before, or are gone
	bytes     int                // about what all of it takes in memory
	idle      int                // fetches that did not go on from it
}

// Overheads of an entry of a map and the strings and slices in it, in bytes.
const (
	locationOverhead = 48
	stackOverhead    = 88
)

// A reading is a profile made ready to be compared.
type reading struct {
	p       *profile.Profile
	columns []int    // indices of the sample types that accumulate
	keys    []string // of each sample
	now     *baseline
	// overflow: numbers are negative, or their sum is no int64.
	overflow bool
}

// read makes a baseline of p. Numbers of locations are those of the known baselines.
func read(p *profile.Profile, columns []int, known ...*baseline) *reading {
	r := &reading{p: p, columns: columns, keys: make([]string, len(p.Sample)), now: &baseline{
		process:   processOf(p),
		locations: make(map[string]uint64, len(p.Location)),
		stacks:    make(map[string][]int64, len(p.Sample)),
	}}
	for _, b := range known {
		r.now.unused = max(r.now.unused, b.unused)
	}
	for _, c := range columns {
		r.now.columns = append(r.now.columns, p.SampleType[c].Type+"/"+p.SampleType[c].Unit)
	}
	numbers := r.numberLocations(known)
	var key []byte
	for i, s := range p.Sample {
		key = appendStack(key[:0], s, numbers)
		r.keys[i] = r.add(key, s)
	}
	return r
}

// numberLocations gives equal locations equal numbers, across profiles.
func (r *reading) numberLocations(known []*baseline) map[*profile.Location]uint64 {
	numbers := make(map[*profile.Location]uint64, len(r.p.Location))
	var content []byte
	for _, l := range r.p.Location {
		content = appendLocation(content[:0], l)
		n, ok := r.now.locations[string(content)]
		if !ok {
			n = r.now.numberOf(content, known)
			r.now.locations[string(content)] = n
			r.now.bytes += len(content) + locationOverhead
		}
		numbers[l] = n
	}
	return numbers
}

// numberOf returns the number of a location, a new one if no baseline knows it.
func (b *baseline) numberOf(content []byte, known []*baseline) uint64 {
	for _, k := range known {
		if n, ok := k.locations[string(content)]; ok {
			return n
		}
	}
	b.unused++
	return b.unused - 1
}

// add sums up: a profile may hold a stack several times.
func (r *reading) add(key []byte, s *profile.Sample) string {
	values, ok := r.now.stacks[string(key)]
	name := string(key)
	if !ok {
		values = make([]int64, len(r.columns))
		r.now.stacks[name] = values
		r.now.bytes += len(key) + stackOverhead + 8*len(values)
	}
	for i, c := range r.columns {
		v := s.Value[c]
		if v < 0 || values[i] > math.MaxInt64-v {
			r.overflow = true
			continue
		}
		values[i] += v
	}
	return name
}

// processOf tells runs of a process apart where a profile can: another build, or
// the same one at another address.
func processOf(p *profile.Profile) string {
	if len(p.Mapping) == 0 {
		return ""
	}
	return string(appendMapping(nil, p.Mapping[0]))
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendMapping(b []byte, m *profile.Mapping) []byte {
	if m == nil {
		return append(b, 0)
	}
	b = append(b, 1)
	b = appendText(appendText(b, m.File), m.BuildID)
	for _, v := range [...]uint64{m.Start, m.Limit, m.Offset} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

func appendLocation(b []byte, l *profile.Location) []byte {
	b = appendMapping(b, l.Mapping)
	b = binary.AppendUvarint(b, l.Address)
	if l.IsFolded {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, line := range l.Line {
		b = binary.AppendVarint(binary.AppendVarint(b, line.Line), line.Column)
		if f := line.Function; f != nil {
			b = append(b, 1)
			b = appendText(appendText(appendText(b, f.Name), f.SystemName), f.Filename)
			b = binary.AppendVarint(b, f.StartLine)
		} else {
			b = append(b, 0)
		}
	}
	return b
}

func appendStack(b []byte, s *profile.Sample, numbers map[*profile.Location]uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(s.Location)))
	for _, l := range s.Location {
		b = binary.AppendUvarint(b, numbers[l])
	}
	b = binary.AppendUvarint(b, uint64(len(s.Label)))
	for _, key := range slices.Sorted(maps.Keys(s.Label)) {
		b = appendText(b, key)
		b = binary.AppendUvarint(b, uint64(len(s.Label[key])))
		for _, v := range s.Label[key] {
			b = appendText(b, v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.NumLabel)) {
		b = appendText(b, key)
		units := s.NumUnit[key]
		b = binary.AppendUvarint(b, uint64(len(s.NumLabel[key])))
		for i, v := range s.NumLabel[key] {
			b = binary.AppendVarint(b, v)
			if i < len(units) {
				b = appendText(b, units[i])
			} else {
				b = appendText(b, "")
			}
		}
	}
	return b
}
