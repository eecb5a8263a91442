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
	max   int64         // of bytes
	first uint64        // sequence of the first one
	all   []recentEntry // those before head were evicted
	head  int
	bytes int64
	old   uint64 // what is below was there at the last tick
}

type recentEntry struct {
	Entry
	source Source
}

// bytes is what the memory of the source may have: with a codec of the owner, the payload
// before and after compression.
func (e *recentEntry) bytes() int64 {
	n := int64(e.Length) + recentOverhead
	if e.OwnerCodec() != 0 {
		n += int64(e.Stored)
	}
	return n
}

func (r *recent) len() int { return len(r.all) - r.head }

// end is the sequence after the last one.
func (r *recent) end() uint64 { return r.first + uint64(r.len()) }

// add adds the next record. Without a source, or if it is too large, there are none before
// the next one either.
func (r *recent) add(e Entry, source Source) {
	added := recentEntry{e, source}
	if source == nil || added.bytes() > r.max || e.Sequence != r.end() {
		r.evict(r.end())
		r.first = e.Sequence
	}
	if source == nil || added.bytes() > r.max {
		return
	}
	for r.len() > 0 && (r.bytes+added.bytes() > r.max || r.len() == maxRecent) {
		r.evict(r.first + 1)
	}
	if len(r.all) == cap(r.all) && r.head > len(r.all)/2 {
		n := copy(r.all, r.all[r.head:])
		clear(r.all[n:])
		r.all, r.head = r.all[:n], 0
	}
	source.Retain()
	r.all = append(r.all, added)
	r.bytes += added.bytes()
}

// evict removes what is below a sequence.
func (r *recent) evict(below uint64) {
	for r.head < len(r.all) && r.first < below {
		e := &r.all[r.head]
		r.bytes -= e.bytes()
		e.source.Release()
		*e = recentEntry{}
		r.head++
		r.first++
	}
	if r.head == len(r.all) {
		r.all, r.head = r.all[:0], 0
	}
}

// tick evicts what was there at the last tick.
func (r *recent) tick() {
	r.evict(r.old)
	r.old = r.end()
}

// get returns a record, if it is in memory.
func (r *recent) get(sequence uint64) (e *recentEntry, ok bool) {
	if sequence < r.first || sequence >= r.end() {
		return nil, false
	}
	return &r.all[r.head+int(sequence-r.first)], true
}

// evictRead removes what all cursors have acknowledged. The mutex is held.
func (j *Journal) evictRead() {
	if j.recent.len() == 0 {
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
