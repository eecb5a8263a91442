package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// The file of the progress has three slots of slotSize bytes, preallocated, so that
// progress can be written when the disk is full. Each state of the progress is written
// whole, into a slot that has neither the newest state nor the newest one that is
// durable; so the end of the process in a write, and a power cut before a sync, cost no
// more than the state that was being written.
//
// Integers are little-endian. A slot is
//
//	 0  4  CRC32C of what follows, up to the end of the body
//	 4  4  "PSP1"
//	 8  8  generation: the highest is the newest
//	16  4  length of the body
//	20  …  body
//
// and a body has, in varints,
//
//	version 1; next segment number; next sequence; units and bytes before it;
//	the sequence below which a new cursor begins at the oldest record;
//	number of cursors, and for each:
//	    name: length, bytes
//	    mark; units and bytes before it
//	    number of acknowledged ranges above the mark, and for each:
//	        from, to; units and bytes before from; units and bytes before to
//	    damaged: records, units, bytes; dropped: records, units, bytes
//	    state: length, bytes
//
// After a failure the file is not written any more; a fresh one with a higher number in
// its name takes its place.
const (
	slots          = 3
	slotSize       = 512 << 10 // of files that are made; others have a third of the file
	slotHead       = 20
	slotMarker     = "PSP1"
	stateVersion   = 1
	progressPrefix = "progress-"
	// maxState bounds what is read of a slot: more than maxCursors can have.
	maxState = 4 << 20
	// maxCursors is how many fit into a slot with the most that each can have, at half
	// of the length that numbers can have. Beyond that the file is replaced by a larger
	// one.
	maxCursors = slotSize / (MaxCursorName + MaxCursorState + maxGaps*6*binary.MaxVarintLen64/2 + 200)
)

// progress is the file that is written.
type progress struct {
	mu      sync.Mutex
	file    vfs.File // nil: there is none that can be written
	name    string
	number  uint64 // of the name
	slot    int64  // size of a slot
	gen     uint64
	written int    // slot of the newest state
	synced  int    // slot of the newest state that is durable
	dirty   bool   // something is newer than what is durable
	version uint64 // of the newest state
	closed  bool
	failing bool // and that was logged
	buf     []byte
}

// state is what the progress has.
type state struct {
	version               uint64 // of the journal; it is not written
	nextNum, next, atRisk uint64
	totals                segment.Totals
	cursors               []cursorState
}

type cursorState struct {
	name string
	marks
	lost, dropped Held
	state         []byte
}

func progressName(number uint64) string { return fmt.Sprintf("%s%016x", progressPrefix, number) }

// parseProgressName reads a name of progressName.
func parseProgressName(name string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, progressPrefix), 16, 64)
	return n, err == nil && name == progressName(n)
}

// snapshot is the state now.
func (j *Journal) snapshot() state {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.progressDirty = false
	s := state{version: j.version, nextNum: j.nextNum, next: j.next, totals: j.totals, atRisk: j.atRisk}
	for _, name := range sortedNames(j.cursors) {
		c := j.cursors[name]
		m := c.marks
		m.gaps = slices.Clone(m.gaps)
		s.cursors = append(s.cursors, cursorState{name, m, c.lost, c.dropped, c.state})
	}
	return s
}

func sortedNames(m map[string]*Cursor) []string { return slices.Sorted(maps.Keys(m)) }

// saveProgress writes the state, and syncs it with durable.
func (j *Journal) saveProgress(durable bool) error {
	p := &j.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrClosed
	}
	err := p.save(j, durable)
	if err != nil && !p.failing {
		p.failing = true
		j.opts.Logger.Error("the progress of the journal was not written: after a restart records can be delivered again, and the journal does not shrink; it is tried again each second",
			slog.Any("error", err))
	}
	if err == nil && p.failing {
		p.failing = false
		j.opts.Logger.Info("the progress of the journal is written again")
	}
	return err
}

// noteProgress is saveProgress(false), for callers that go on after a failure: it
// is logged, and the cleaner tries again. If another caller has written a later version
// meanwhile there is nothing to do.
func (j *Journal) noteProgress(version uint64) {
	j.progress.mu.Lock()
	written := j.progress.file != nil && j.progress.version >= version
	j.progress.mu.Unlock()
	if !written {
		_ = j.saveProgress(false)
	}
}

// save writes to the open file, or to a fresh one if that fails.
func (p *progress) save(j *Journal, durable bool) error {
	p.dirty = true
	s := j.snapshot()
	b := s.append(append(p.buf[:0], make([]byte, slotHead)...))
	p.buf = b
	if int64(len(b)) > p.slot {
		p.slot = int64(2 * len(b))
	} else if p.file != nil {
		err := p.write(b, durable)
		if err == nil {
			p.version = s.version
			return nil
		}
		j.opts.Logger.Warn("the file of the progress failed; a fresh one takes its place", slog.String("file", p.name), slog.Any("error", err))
	}
	if p.file != nil {
		_ = p.file.Close() // it has failed, or is too small
		p.file = nil
	}
	err := p.replace(j.fs, b)
	if err == nil {
		p.version = s.version
	}
	return err
}

// write writes a slot.
func (p *progress) write(b []byte, durable bool) error {
	p.gen++
	frame(b, p.gen)
	slot := p.free()
	if _, err := p.file.WriteAt(b, int64(slot)*p.slot); err != nil {
		return err
	}
	p.written = slot
	if !durable {
		return nil
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	p.synced, p.dirty = slot, false
	return nil
}

// free is a slot that has neither the newest state nor the newest that is durable.
func (p *progress) free() int {
	for slot := range slots {
		if planted(progressInPlace) {
			return 0
		}
		if slot != p.written && slot != p.synced {
			return slot
		}
	}
	return 0 // not reached: there are three
}

// replace makes a fresh file with the state b, durably, and removes the one before.
func (p *progress) replace(fs vfs.FS, b []byte) (err error) {
	old := p.name
	name := progressName(p.number + 1)
	p.number++
	file, err := fs.Create(name)
	if err != nil {
		return fmt.Errorf("create the file of the progress: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), fs.Remove(name))
		}
	}()
	if err := file.Preallocate(slots * p.slot); err != nil {
		return fmt.Errorf("create the file of the progress: %w", err)
	}
	fresh := progress{file: file, slot: p.slot, gen: p.gen, written: 1, synced: 2}
	err = fresh.write(b, true)
	p.gen = fresh.gen // also if it failed: what was written of it may be found beside the next
	if err != nil {
		return fmt.Errorf("write the file of the progress: %w", err)
	}
	if err := fs.SyncDir("."); err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}
	p.file, p.name, p.written, p.synced, p.dirty = file, name, fresh.written, fresh.synced, false
	if old != "" {
		_ = fs.Remove(old) // Open removes what is left
	}
	return nil
}

func (p *progress) isDirty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dirty
}

func (p *progress) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

// frame fills in what is in front of the body.
func frame(b []byte, generation uint64) {
	copy(b[4:], slotMarker)
	binary.LittleEndian.PutUint64(b[8:], generation)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(b)-slotHead))
	binary.LittleEndian.PutUint32(b, segment.Checksum(0, b[4:]))
}

// append appends the body.
func (s state) append(b []byte) []byte {
	put := func(values ...uint64) {
		for _, v := range values {
			b = binary.AppendUvarint(b, v)
		}
	}
	totals := func(t segment.Totals) { put(t.Units, t.Bytes) }
	held := func(h Held) { put(h.Records, h.Units, h.Bytes) }
	put(stateVersion, s.nextNum, s.next)
	totals(s.totals)
	put(s.atRisk, uint64(len(s.cursors)))
	for _, c := range s.cursors {
		put(uint64(len(c.name)))
		b = append(b, c.name...)
		put(c.low)
		totals(c.base)
		put(uint64(len(c.gaps)))
		for _, g := range c.gaps {
			put(g.from, g.to)
			totals(g.begin)
			totals(g.end)
		}
		held(c.lost)
		held(c.dropped)
		put(uint64(len(c.state)))
		b = append(b, c.state...)
	}
	return b
}

// parseSlot reads a slot. The error is segment.ErrCorrupt if it has no complete state,
// and segment.ErrVersion if this version must not touch it.
func parseSlot(b []byte) (s state, generation uint64, err error) {
	if len(b) < slotHead || string(b[4:8]) != slotMarker {
		return s, 0, segment.ErrCorrupt
	}
	length := int64(binary.LittleEndian.Uint32(b[16:]))
	if slotHead+length > int64(len(b)) || segment.Checksum(0, b[4:slotHead+length]) != binary.LittleEndian.Uint32(b) {
		return s, 0, segment.ErrCorrupt
	}
	s, err = parseState(b[slotHead : slotHead+length])
	return s, binary.LittleEndian.Uint64(b[8:]), err
}

// minCursor is the least length of a cursor.
const minCursor = 12

// parseState reads a body.
func parseState(b []byte) (s state, err error) {
	r := reader{b: b}
	if v := r.uint(); v != stateVersion {
		return s, fmt.Errorf("%w: format %d, this one reads %d", segment.ErrVersion, v, stateVersion)
	}
	s.nextNum, s.next, s.totals, s.atRisk = r.uint(), r.uint(), r.totals(), r.uint()
	for n := r.count(minCursor); n > 0 && !r.bad; n-- {
		c := cursorState{name: string(r.bytes())}
		c.low, c.base = r.uint(), r.totals()
		for n := r.count(6); n > 0 && !r.bad; n-- {
			g := span{from: r.uint(), to: r.uint(), begin: r.totals(), end: r.totals()}
			if last := len(c.gaps) - 1; g.from >= g.to || g.from <= c.low || last >= 0 && g.from <= c.gaps[last].to {
				r.fail()
			}
			c.gaps = append(c.gaps, g)
		}
		c.lost, c.dropped = r.held(), r.held()
		c.state = append([]byte(nil), r.bytes()...)
		s.cursors = append(s.cursors, c)
	}
	if len(r.b) > 0 || r.bad {
		return s, segment.ErrCorrupt
	}
	return s, nil
}

// reader reads a body. After a failure it returns zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (r *reader) count(size int) int {
	n := r.uint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bytes() []byte {
	n := r.count(1)
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) totals() segment.Totals { return segment.Totals{Units: r.uint(), Bytes: r.uint()} }

func (r *reader) held() Held { return Held{r.uint(), r.uint(), r.uint()} }

// loadProgress finds the newest state among the files in names, opens its file for
// writing, and reports whether there was one. It changes nothing.
func (j *Journal) loadProgress(list []vfs.Info) (s state, files []string, found bool, err error) {
	p := &j.progress
	for _, info := range list {
		number, is := parseProgressName(info.Name)
		if !is {
			continue
		}
		p.number = max(p.number, number)
		files = append(files, info.Name)
		best, slot, gen, err := readSlots(j.fs, info.Name, info.Size/slots)
		if err != nil {
			return s, files, false, fmt.Errorf("read %s: %w", info.Name, err)
		}
		if slot >= 0 && (!found || gen > p.gen) {
			s, found = best, true
			p.name, p.gen, p.written, p.synced, p.slot = info.Name, gen, slot, slot, info.Size/slots
		}
	}
	return s, files, found, nil
}

// readSlots returns the newest state of a file and its slot; -1 if it has none.
func readSlots(fs vfs.FS, name string, size int64) (newest state, slot int, generation uint64, err error) {
	slot = -1
	file, err := fs.Open(name, false)
	if err != nil {
		return newest, slot, 0, err
	}
	defer file.Close()
	for i := range slots {
		b, err := readSlot(file, int64(i)*size, size)
		if err != nil {
			return newest, slot, 0, err
		}
		s, gen, err := parseSlot(b)
		if errors.Is(err, segment.ErrVersion) {
			return newest, slot, 0, err
		}
		if err == nil && (slot < 0 || gen > generation) {
			newest, slot, generation = s, i, gen
		}
	}
	return newest, slot, generation, nil
}

// readSlot reads what a slot of size bytes at off has: as much as its head tells, and no
// more than there can be.
func readSlot(file vfs.File, off, size int64) ([]byte, error) {
	head := make([]byte, slotHead)
	n, err := readSome(file, head, off)
	if err != nil || n < slotHead {
		return nil, err
	}
	b := make([]byte, min(slotHead+int64(binary.LittleEndian.Uint32(head[16:])), size, maxState))
	n, err = readSome(file, b, off)
	return b[:n], err
}

// readSome reads up to the end of the file, and tries again: an error may be of the moment.
func readSome(file vfs.File, b []byte, off int64) (n int, err error) {
	p := retries{ctx: context.Background()}
	for again := true; again; again = p.again(err) {
		if n, err = file.ReadAt(b, off); err == nil || isEOF(err) {
			return n, nil
		}
	}
	return n, err
}

// failed reports whether the latest attempt to write failed.
func (p *progress) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failing
}
