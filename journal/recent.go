package journal

const (
	// maxRecent is how many records are kept in memory at most.
	maxRecent = 4096
	// recentOverhead is what a record counts as beside its payload.
	recentOverhead = 256
)

// Source is memory that has a record's payload. The journal keeps the newest records that
// have one for a moment, so that a cursor that keeps up reads no file.
type Source interface {
	// Retain keeps the memory until Release is called as often.
	Retain()
	Release()
}

// recent are the newest records, in their order and without a gap. It is under the
// journal's mutex.
type recent struct {
	first   uint64 // sequence of entries[0]
	entries []recentEntry
	bytes   int64
	max     int64  // of bytes
	old     uint64 // what is below was there at the last tick
}

type recentEntry struct {
	Entry
	source Source // nil: the file has to be read
}

func (e *recentEntry) bytes() int64 {
	if e.source == nil {
		return recentOverhead
	}
	return int64(e.Length) + recentOverhead
}

// add adds the next record.
func (r *recent) add(e Entry, source Source) {
	if r.max < 0 {
		return
	}
	if len(r.entries) == 0 || r.first+uint64(len(r.entries)) != e.Sequence {
		r.evict(r.first + uint64(len(r.entries)))
		r.first = e.Sequence
	}
	if source != nil && int64(e.Length) <= r.max/2 {
		source.Retain()
	} else {
		source = nil
	}
	r.entries = append(r.entries, recentEntry{e, source})
	r.bytes += r.entries[len(r.entries)-1].bytes()
	for r.bytes > r.max || len(r.entries) > maxRecent {
		r.evict(r.first + 1)
	}
}

// evict removes what is below a sequence.
func (r *recent) evict(below uint64) {
	n := 0
	for ; n < len(r.entries) && r.first < below; n++ {
		e := &r.entries[n]
		r.bytes -= e.bytes()
		if e.source != nil {
			e.source.Release()
		}
		*e = recentEntry{}
		r.first++
	}
	r.entries = r.entries[n:]
}

// tick evicts what was there at the last tick.
func (r *recent) tick() {
	r.evict(r.old)
	r.old = r.first + uint64(len(r.entries))
}

// get returns a record, if it is in memory.
func (r *recent) get(sequence uint64) (e *recentEntry, ok bool) {
	i := sequence - r.first
	if sequence < r.first || i >= uint64(len(r.entries)) || r.entries[i].source == nil {
		return nil, false
	}
	return &r.entries[i], true
}

// evictRead removes what all cursors have acknowledged. The mutex is held.
func (j *Journal) evictRead() {
	if len(j.recent.entries) == 0 {
		return
	}
	low := j.next
	for _, c := range j.cursors {
		low = min(low, c.low)
	}
	j.recent.evict(low)
}

// Source returns the memory of a record's payload, if it is there still. The caller
// releases it.
func (c *Cursor) Source(e Entry) (Source, bool) {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	r, ok := c.j.recent.get(e.Sequence)
	if !ok || r.seg != e.seg {
		return nil, false
	}
	r.source.Retain()
	return r.source, true
}
