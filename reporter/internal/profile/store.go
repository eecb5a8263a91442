package profile

import (
	"bytes"
	"hash/maphash"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/reporter/samples"
)

const (
	shardBits = 4
	shards    = 1 << shardBits
)

// Config is what a Store is made with.
type Config struct {
	// MaxBytes bounds a window. What is reported beyond is not taken.
	MaxBytes int
	// NearlyFull, if not nil, is called when a window has reached 3/4 of MaxBytes,
	// once for a window. It must not block, nor call the Store.
	NearlyFull func()
	// HashStack replaces the hash of stacks, for tests.
	HashStack func(libpf.Frames) uint64
}

// Store collects samples. It is safe for concurrent use.
type Store struct {
	cfg              Config
	seed             maphash.Seed
	secret           uint64 // in hashes of what clients choose
	frames           frameBytes
	bytes            atomic.Int64
	nearlyFullCalled atomic.Bool // NearlyFull was called
	chunks           chunkPool
	spare            sync.Pool // *tables
	begun            atomic.Int64
	shards           [shards]shard
}

// shard is a part of a window, by the hash of the stack.
type shard struct {
	mu     sync.Mutex
	t      *tables
	closed bool
	counts Counts   // Held is not kept here
	_      [64]byte // its own cache line
}

// Taken says what became of a sample.
type Taken uint8

const (
	// Kept: it is in the window.
	Kept Taken = iota
	// Full: the window has no room.
	Full
	// Closed: the Store takes no more.
	Closed
)

// New returns a Store whose first window begins at now.
func New(cfg Config, now time.Time) *Store {
	s := &Store{cfg: cfg, seed: maphash.MakeSeed(), secret: rand.Uint64()}
	s.begun.Store(now.UnixNano())
	for i := range s.shards {
		s.shards[i].t = &tables{}
	}
	return s
}

// stackKey is what a stack is known by: its frames, or the hash under which they
// are reported elsewhere.
type stackKey struct {
	frames libpf.Frames
	trace  libpf.TraceHash
	byHash bool
	since  int64 // when a stack that waits for its frames was first counted, Unix ns; 0: now
	offer  bool  // it counts only if it is kept
}

// Event takes one sample with its frames.
func (s *Store) Event(frames libpf.Frames, labels map[string]string, m *samples.TraceEventMeta) Taken {
	return s.event(stackKey{frames: frames}, labels, m)
}

// Offer is Event for a caller that offers again what was not kept: only what is kept
// is counted.
func (s *Store) Offer(frames libpf.Frames, labels map[string]string, m *samples.TraceEventMeta) Taken {
	return s.event(stackKey{frames: frames, offer: true}, labels, m)
}

func (s *Store) event(k stackKey, labels map[string]string, m *samples.TraceEventMeta) Taken {
	var hash uint64
	if s.cfg.HashStack != nil {
		hash = s.cfg.HashStack(k.frames)
	} else {
		hash = hashFrames(s.seed, k.frames)
	}
	value := m.Value
	if m.Origin.Shape == samples.Timestamps {
		value = 1
	}
	return s.add(k, hash, labels, m, uint64(m.Timestamp), value)
}

// Count takes count samples of a stack whose frames are asked for when the window
// is written.
func (s *Store) Count(trace libpf.TraceHash, m *samples.TraceEventMeta, count int64) Taken {
	return s.count(stackKey{trace: trace, byHash: true}, m, uint64(m.Timestamp), count)
}

func (s *Store) count(k stackKey, m *samples.TraceEventMeta, time uint64, count int64) Taken {
	return s.add(k, mix(mix(s.secret, k.trace.Hi()), k.trace.Lo()), nil, m, time, count)
}

func (s *Store) add(k stackKey, stackHash uint64, labels map[string]string, m *samples.TraceEventMeta, time uint64, value int64) Taken {
	metaHash := hashMeta(s.seed, m, labels)
	hash := mix(stackHash, metaHash)
	sh := s.lock(stackHash >> (64 - shardBits))
	if sh.closed {
		return sh.refuse(&k, Closed)
	}
	t := sh.t
	grown := 0
	i, known := t.samples.find(hash, func(i uint32) bool { return t.isSample(i, &k, m, labels) })
	if (!known || t.log.atEnd(value != 1)) && s.full() {
		return sh.refuse(&k, Full)
	}
	if !known {
		i, grown = t.newSample(&s.frames, hash, stackHash, metaHash, &k, m, labels)
	}
	grown += t.log.add(&s.chunks, i, time, value)
	if k.since == 0 {
		sh.counts.Reported++
	}
	sh.mu.Unlock()
	if grown > 0 {
		s.charge(grown)
	}
	return Kept
}

// refuse counts a sample that is not kept, and unlocks the shard.
func (sh *shard) refuse(k *stackKey, why Taken) Taken {
	defer sh.mu.Unlock()
	if k.offer {
		return why
	}
	if k.since == 0 {
		sh.counts.Reported++
	}
	if why == Closed {
		sh.counts.Closed++
	} else {
		sh.counts.Full++
	}
	return why
}

// lock locks shard i, or the one beside it if that one is locked: a stack that
// all threads are in would make them wait for each other.
func (s *Store) lock(i uint64) *shard {
	sh := &s.shards[i]
	if sh.mu.TryLock() {
		return sh
	}
	if beside := &s.shards[i^1]; beside.mu.TryLock() {
		return beside
	}
	sh.mu.Lock()
	return sh
}

// atEnd reports whether the next event needs another chunk.
func (l *eventLog) atEnd(valued bool) bool {
	c := l.plain
	if valued {
		c = l.valued
	}
	return c == nil || c.n == chunkEvents
}

func (s *Store) full() bool { return s.bytes.Load() >= int64(s.cfg.MaxBytes) }

func (s *Store) charge(n int) {
	if s.bytes.Add(int64(n)) >= int64(s.cfg.MaxBytes/4*3) && s.cfg.NearlyFull != nil && s.nearlyFullCalled.CompareAndSwap(false, true) {
		s.cfg.NearlyFull()
	}
}

// Bytes returns the size of the window.
func (s *Store) Bytes() int { return int(s.bytes.Load()) }

// LogBytes returns how many of Bytes are the log of events, which has room for more of
// them than there are.
func (s *Store) LogBytes() (n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += sh.t.log.bytes()
		sh.mu.Unlock()
	}
	return n
}

// Metas returns how many different metadata the window's samples have, each of which
// may be of another resource.
func (s *Store) Metas() (n int) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		n += len(sh.t.meta)
		sh.mu.Unlock()
	}
	return n
}

// Counts is what became of the samples since the Store was made:
//
//	Reported == taken by Take + Held + Full + Closed
type Counts struct{ Reported, Held, Full, Closed int64 }

// Counts returns the counts as they are now. Samples that wait for their frames
// are reported once, though they are taken by several windows.
func (s *Store) Counts() (c Counts) {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		c.Reported += sh.counts.Reported
		c.Full += sh.counts.Full
		c.Closed += sh.counts.Closed
		c.Held += int64(sh.t.log.events())
		sh.mu.Unlock()
	}
	return c
}

// Close makes the Store refuse what is reported from now on. What it has can be
// taken.
func (s *Store) Close() {
	for i := range s.shards {
		sh := &s.shards[i]
		sh.mu.Lock()
		sh.closed = true
		sh.mu.Unlock()
	}
}

// Take ends the window and begins the next.
func (s *Store) Take(now time.Time) *Window {
	w := &Window{store: s, start: s.begun.Swap(now.UnixNano()), end: now.UnixNano()}
	s.bytes.Store(0) // what is reported meanwhile may be charged to either window
	w.early = s.nearlyFullCalled.Swap(false)
	s.frames.reset()
	for i := range s.shards {
		fresh, ok := s.spare.Get().(*tables)
		if !ok {
			fresh = &tables{}
		}
		sh := &s.shards[i]
		sh.mu.Lock()
		w.tables[i], sh.t = sh.t, fresh
		sh.mu.Unlock()
		w.events += w.tables[i].log.events()
	}
	return w
}

// tables is one shard's part of a window.
type tables struct {
	samples, stacks, metas index

	sample []sampleEntry
	stack  []stackEntry
	slab   libpf.Frames // where the next stacks' frames go
	frames int          // of all stacks
	meta   []metaEntry
	log    eventLog
}

type (
	sampleEntry struct{ stack, meta uint32 }
	stackEntry  struct {
		frames  libpf.Frames
		trace   libpf.TraceHash
		byHash  bool
		since   int64
		unknown bool // no frames came
	}
	metaEntry struct {
		m      samples.TraceEventMeta
		labels map[string]string
	}
)

func (t *tables) isStack(i uint32, k *stackKey) bool {
	e := &t.stack[i]
	if e.byHash != k.byHash {
		return false
	}
	if e.byHash {
		return e.trace == k.trace && e.since == k.since // what waits is not joined by what is new
	}
	return bytes.Equal(bytesOf(e.frames), bytesOf(k.frames))
}

func (t *tables) isMeta(i uint32, m *samples.TraceEventMeta, labels map[string]string) bool {
	e := &t.meta[i]
	return equalMeta(&e.m, e.labels, m, labels)
}

func (t *tables) isSample(i uint32, k *stackKey, m *samples.TraceEventMeta, labels map[string]string) bool {
	e := t.sample[i]
	return t.isStack(e.stack, k) && t.isMeta(e.meta, m, labels)
}

// newSample returns the number of a sample that is not there, and the bytes that
// it takes.
func (t *tables) newSample(f *frameBytes, hash, stackHash, metaHash uint64, k *stackKey, m *samples.TraceEventMeta, labels map[string]string) (i uint32, grown int) {
	stack, ok := t.stacks.find(stackHash, func(i uint32) bool { return t.isStack(i, k) })
	if !ok {
		stack = t.stacks.add(stackHash)
		t.stack = append(t.stack, stackEntry{frames: t.keep(k.frames), trace: k.trace, byHash: k.byHash, since: k.since})
		grown += int(unsafe.Sizeof(stackEntry{})) + len(k.frames)*int(unsafe.Sizeof(frame{})) + indexEntryBytes + f.add(k.frames)
	}
	meta, ok := t.metas.find(metaHash, func(i uint32) bool { return t.isMeta(i, m, labels) })
	if !ok {
		meta = t.metas.add(metaHash)
		t.meta = append(t.meta, newMeta(m, labels))
		grown += int(unsafe.Sizeof(metaEntry{})) + textBytes(m, labels) + indexEntryBytes
	}
	i = t.samples.add(hash)
	t.sample = append(t.sample, sampleEntry{stack, meta})
	return i, grown + int(unsafe.Sizeof(sampleEntry{})) + indexEntryBytes
}

// newMeta copies what the caller may change after the call.
func newMeta(m *samples.TraceEventMeta, labels map[string]string) metaEntry {
	e := metaEntry{*m, maps.Clone(labels)}
	e.m.EnvVars = maps.Clone(m.EnvVars)
	return e
}

// slabFrames is how many frames a slab has room for: 8 KiB of them.
const slabFrames = 1024

// keep copies frames to where they stay until the window is written: a list that
// grew would leave four times as much behind.
func (t *tables) keep(frames libpf.Frames) libpf.Frames {
	if cap(t.slab)-len(t.slab) < len(frames) {
		t.slab = make(libpf.Frames, 0, max(slabFrames, len(frames)))
	}
	from := len(t.slab)
	t.slab = append(t.slab, frames...)
	t.frames += len(frames)
	return t.slab[from:len(t.slab):len(t.slab)]
}

// mapEntryBytes is what a map takes for an entry, beside its text.
const mapEntryBytes = 48

// textBytes is what a meta points at. Texts that several metas share count each
// time.
func textBytes(m *samples.TraceEventMeta, labels map[string]string) int {
	n := len(m.Comm) + len(m.ProcessName) + len(m.ExecutablePath) + len(m.ContainerID) + len(m.PodName) +
		len(m.ContainerName) + len(m.APMServiceName) + len(m.Resource) + len(m.Attributes)
	for k, v := range labels {
		n += len(k) + len(v) + mapEntryBytes
	}
	for k, v := range m.EnvVars {
		n += len(k) + len(v) + mapEntryBytes
	}
	return n
}

// reset empties the tables for another window. What was much larger than needed
// goes to the collector.
func (t *tables) reset(p *chunkPool) {
	t.log.release(p)
	if cap(t.stack) > 4*len(t.stack)+256 || cap(t.meta) > 4*len(t.meta)+64 || cap(t.sample) > 4*len(t.sample)+256 {
		*t = tables{}
		return
	}
	t.samples.reset()
	t.stacks.reset()
	t.metas.reset()
	clear(t.stack)
	clear(t.meta)
	t.slab, t.frames = nil, 0
	t.sample, t.stack, t.meta = t.sample[:0], t.stack[:0], t.meta[:0]
}
