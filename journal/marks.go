package journal

import (
	"slices"

	"github.com/penstock-telemetry/penstock/journal/segment"
)

// span is a range of sequences, and the totals of the journal at its ends.
type span struct {
	from, to   uint64 // to is the first that is not in it
	begin, end segment.Totals
}

func (s span) records() uint64 { return s.to - s.from }

func (s span) sum() segment.Totals { return minus(s.end, s.begin) }

// recordSpan is the span of one record.
func recordSpan(r segment.Record) span {
	return span{from: r.Sequence, to: r.Sequence + 1, begin: r.Before, end: r.Before.Add(r)}
}

// Held is an amount of records.
type Held struct {
	Records uint64 `json:"records"`
	Units   uint64 `json:"units"`
	Bytes   uint64 `json:"bytes"`
}

func (h *Held) add(s span) {
	sum := s.sum()
	h.Records, h.Units, h.Bytes = h.Records+s.records(), h.Units+sum.Units, h.Bytes+sum.Bytes
}

func (h Held) plus(o Held) Held {
	return Held{h.Records + o.Records, h.Units + o.Units, h.Bytes + o.Bytes}
}

func (h *Held) sub(s span) {
	sum := s.sum()
	h.Records -= min(h.Records, s.records())
	h.Units -= min(h.Units, sum.Units)
	h.Bytes -= min(h.Bytes, sum.Bytes)
}

// minus is a - b, and 0 where that is below: what is left of damaged files can have
// totals that do not rise.
func minus(a, b segment.Totals) segment.Totals {
	return segment.Totals{Units: a.Units - min(a.Units, b.Units), Bytes: a.Bytes - min(a.Bytes, b.Bytes)}
}

// marks are what a cursor has acknowledged: everything below low, and spans above it,
// in their order, which do not touch each other.
type marks struct {
	low  uint64
	base segment.Totals // of all records below low
	gaps []span
}

// find returns the span that has a sequence, or the first above it.
func (m *marks) find(sequence uint64) (i int, found bool) {
	i, _ = slices.BinarySearchFunc(m.gaps, sequence, func(s span, q uint64) int {
		if s.to <= q {
			return -1
		}
		return 1
	})
	return i, i < len(m.gaps) && m.gaps[i].from <= sequence
}

// has reports whether a sequence is acknowledged.
func (m *marks) has(sequence uint64) bool {
	_, found := m.find(sequence)
	return found || sequence < m.low
}

// add acknowledges a span of which nothing is acknowledged yet.
func (m *marks) add(s span) {
	i, _ := m.find(s.from)
	m.gaps = slices.Insert(m.gaps, i, s)
	if i+1 < len(m.gaps) && s.to == m.gaps[i+1].from {
		m.join(i)
	}
	if i > 0 && m.gaps[i-1].to == s.from {
		m.join(i - 1)
	}
	m.settle()
}

// join makes one span of i and the next.
func (m *marks) join(i int) {
	m.gaps[i].to, m.gaps[i].end = m.gaps[i+1].to, m.gaps[i+1].end
	m.gaps = slices.Delete(m.gaps, i+1, i+2)
}

// settle moves low over the spans that reach it.
func (m *marks) settle() {
	for len(m.gaps) > 0 && m.gaps[0].from <= m.low {
		if m.gaps[0].to > m.low {
			m.low, m.base = m.gaps[0].to, m.gaps[0].end
		}
		m.gaps = slices.Delete(m.gaps, 0, 1)
	}
}

// uncovered returns what is not acknowledged of s.
func (m *marks) uncovered(s span) (parts []span) {
	if s.from < m.low {
		s.from, s.begin = m.low, m.base
	}
	i, _ := m.find(s.from)
	for ; i < len(m.gaps) && m.gaps[i].from < s.to; i++ {
		if gap := m.gaps[i]; gap.from > s.from {
			parts = append(parts, span{s.from, gap.from, s.begin, gap.begin})
		}
		s.from, s.begin = m.gaps[i].to, m.gaps[i].end
	}
	if s.from < s.to {
		parts = append(parts, s)
	}
	return parts
}

// pass acknowledges all of s, and returns what was not acknowledged before.
func (m *marks) pass(s span) (passed Held) {
	for _, part := range m.uncovered(s) {
		passed.add(part)
		m.add(part)
	}
	return passed
}

// held is what a journal with records below next, of the given totals, has for the
// cursor.
func (m *marks) held(next uint64, totals segment.Totals) (h Held) {
	if next > m.low {
		h.add(span{m.low, next, m.base, totals})
	}
	for _, s := range m.gaps {
		h.sub(s)
	}
	return h
}
