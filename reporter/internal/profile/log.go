package profile

import "sync"

// chunkEvents is how many events a chunk of the log holds: 12 KiB of them.
const chunkEvents = 1024

// A chunk holds events column by column. Most events count 1 and need no values.
type chunk struct {
	n      int
	sample [chunkEvents]uint32
	time   [chunkEvents]uint64
	value  []int64 // nil, or chunkEvents long
}

const (
	plainChunkBytes  = chunkEvents * (4 + 8)
	valuedChunkBytes = chunkEvents * (4 + 8 + 8)
)

// eventLog is what happened, in the order of the calls; events with values and
// those without apart.
type eventLog struct {
	chunks        []*chunk
	plain, valued *chunk // the ones being filled; nil at first
}

// chunkPool keeps chunks for reuse.
type chunkPool struct{ plain, valued sync.Pool }

func (p *chunkPool) get(valued bool) *chunk {
	from := &p.plain
	if valued {
		from = &p.valued
	}
	if c, ok := from.Get().(*chunk); ok {
		c.n = 0
		return c
	}
	c := &chunk{}
	if valued {
		c.value = make([]int64, chunkEvents)
	}
	return c
}

func (p *chunkPool) put(c *chunk) {
	if c.value != nil {
		p.valued.Put(c)
	} else {
		p.plain.Put(c)
	}
}

// add appends an event and returns how many bytes the log has grown by.
func (l *eventLog) add(p *chunkPool, sample uint32, time uint64, value int64) (grown int) {
	at, size := &l.plain, plainChunkBytes
	if value != 1 {
		at, size = &l.valued, valuedChunkBytes
	}
	c := *at
	if c == nil || c.n == chunkEvents {
		c = p.get(value != 1)
		*at = c
		l.chunks = append(l.chunks, c)
		grown = size
	}
	c.sample[c.n], c.time[c.n] = sample, time
	if value != 1 {
		c.value[c.n] = value
	}
	c.n++
	return grown
}

func (l *eventLog) events() (n int) {
	for _, c := range l.chunks {
		n += c.n
	}
	return n
}

func (l *eventLog) bytes() (n int) {
	for _, c := range l.chunks {
		if c.value != nil {
			n += valuedChunkBytes
		} else {
			n += plainChunkBytes
		}
	}
	return n
}

func (l *eventLog) release(p *chunkPool) {
	for _, c := range l.chunks {
		p.put(c)
	}
	clear(l.chunks)
	*l = eventLog{chunks: l.chunks[:0]}
}
