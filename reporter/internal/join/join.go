package join

import (
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/libpf"
)

// DefaultMaxBytes is the bound of a Config that names none.
const DefaultMaxBytes = 64 << 20

// Config is what New is given.
type Config struct {
	// MaxBytes bounds all caches together. 0 or less: DefaultMaxBytes. Of 16 parts,
	// 11 are for stacks with their frames as resolved, 3 for symbols, and 1 each for
	// executables and fallback symbols. A cache does not use another's share. The
	// default holds 50,000 stacks of 24 frames.
	MaxBytes int
}

// Join holds stacks, symbols and executables. It is safe for concurrent use, has
// no goroutine and needs no closing.
type Join struct {
	mu sync.Mutex // held for one call, never for a whole flush
	// epoch is the number of facts so far that were news, from 1: a stack, frame
	// or file with epoch 0 was never resolved.
	epoch uint64

	stacks      cache[libpf.TraceHash, stack] // its bytes include frames and files
	frames      map[frameKey]*frame           // of stacks, each as long as a stack has it
	files       map[fileKey]*file             // of frames, likewise
	symbols     cache[libpf.FrameID, symbol]
	fallbacks   cache[libpf.FrameID, string]
	executables cache[libpf.FileID, executable]

	conflicts, malformed uint64
}

// symbol is what FrameMetadata reports about a frame.
type symbol struct {
	line           libpf.SourceLineno
	functionOffset uint32
	function, file string
}

type executable struct{ fileName, buildID string }

// Evictions counts what is not, or no longer, known, since New. What is larger than
// the share of its cache is never taken, and counted here at once.
type Evictions struct {
	Traces, Frames, Executables, FallbackSymbols uint64
	// Conflicts are traces whose hash was that of a known trace with other frames.
	Conflicts uint64
	// Malformed are traces whose lists are not of equal length.
	Malformed uint64
}

// New makes a Join.
func New(c Config) *Join {
	if c.MaxBytes <= 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	j := &Join{
		epoch:       1,
		frames:      map[frameKey]*frame{},
		files:       map[fileKey]*file{},
		symbols:     newCache[libpf.FrameID, symbol](0, nil),
		fallbacks:   newCache[libpf.FrameID, string](0, nil),
		executables: newCache[libpf.FileID, executable](0, nil),
	}
	j.stacks = newCache[libpf.TraceHash](0, j.release)
	j.divide(c.MaxBytes)
	return j
}

// divide gives each cache its share.
func (j *Join) divide(maxBytes int) {
	j.stacks.maxBytes, j.symbols.maxBytes = maxBytes/16*11, maxBytes/16*3
	j.fallbacks.maxBytes, j.executables.maxBytes = maxBytes/16, maxBytes/16
}

// Limit changes Config.MaxBytes. What is above the new bound is evicted.
func (j *Join) Limit(maxBytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.divide(maxBytes)
	j.stacks.makeRoom(nil)
	j.symbols.makeRoom(nil)
	j.fallbacks.makeRoom(nil)
	j.executables.makeRoom(nil)
}

// Trace takes a stack. Nothing of t is kept.
//
// If another stack is known by the same hash, the first one stays and the conflict is
// counted: samples that were counted by this hash and not asked for yet are of the
// first, and would become another's. Both cannot be kept, for counts say only the
// hash. A trace with lists of unequal length is refused, and counted.
func (j *Join) Trace(t *libpf.Trace) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if t == nil || len(t.Files) != len(t.Linenos) || len(t.Files) != len(t.FrameTypes) {
		j.malformed++
		return
	}
	if e := j.stacks.get(t.Hash); e != nil {
		if !e.value.equal(t) {
			j.conflicts++
		}
		return
	}
	// As if it shared nothing with others, so that one stack cannot push all
	// others out and then not fit.
	if j.stacks.entryBytes+len(t.Files)*(slotBytes+frameBytes+fileBytes) > j.stacks.maxBytes {
		j.stacks.evicted++
		return
	}
	j.fit(j.stacks.insert(t.Hash, j.acquire(t), len(t.Files)*slotBytes))
}

// Executable takes the name and the GNU build id of a file. The last one counts, but
// an empty string is not news.
func (j *Join) Executable(id libpf.FileID, fileName, buildID string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var known executable
	if e := j.executables.get(id); e != nil {
		known = e.value
	}
	now := executable{renew(known.fileName, fileName), renew(known.buildID, buildID)}
	if now != known && j.executables.put(id, now, stringBytes(now.fileName, now.buildID)) {
		j.epoch++
	}
}

// Frame takes what is known of a frame: its line, how many lines after the first of
// its function that is, and names. The last one counts, but an empty name does not
// replace one that is known.
func (j *Join) Frame(id libpf.FileID, addr libpf.AddressOrLineno, line libpf.SourceLineno, functionOffset uint32, function, file string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := libpf.NewFrameID(id, addr)
	e := j.symbols.get(key)
	var known symbol
	if e != nil {
		known = e.value
	}
	now := symbol{line, functionOffset, renew(known.function, function), renew(known.file, file)}
	// An empty symbol is a fact too: nothing better will come.
	if (e == nil || now != known) && j.symbols.put(key, now, stringBytes(now.function, now.file)) {
		j.epoch++
	}
}

// FallbackSymbol takes a name for a frame that nothing better may be known of. The
// first one stays. An empty one is none.
func (j *Join) FallbackSymbol(id libpf.FrameID, symbol string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if symbol == "" || j.fallbacks.get(id) != nil {
		return
	}
	if j.fallbacks.put(id, strings.Clone(symbol), stringBytes(symbol)) {
		j.epoch++
	}
}

// renew returns what is known after a report. It copies what it takes, for a string
// may be a piece of a larger one.
func renew(known, reported string) string {
	if reported == "" || reported == known {
		return known
	}
	return strings.Clone(reported)
}

func stringBytes(list ...string) int {
	bytes := 0
	for _, s := range list {
		bytes += roundUp(len(s))
	}
	return bytes
}

// Evicted returns the counts since New.
func (j *Join) Evicted() Evictions {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Evictions{
		Traces:          j.stacks.evicted,
		Frames:          j.symbols.evicted,
		Executables:     j.executables.evicted,
		FallbackSymbols: j.fallbacks.evicted,
		Conflicts:       j.conflicts,
		Malformed:       j.malformed,
	}
}

// Bytes returns what all caches take, which is never more than MaxBytes.
func (j *Join) Bytes() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stacks.bytes + j.symbols.bytes + j.fallbacks.bytes + j.executables.bytes
}
