package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sort"

	"github.com/penstock-telemetry/penstock/journal/segment"
)

// Bounds of a cursor.
const (
	// MaxCursorName is the longest name.
	MaxCursorName = 200
	// MaxCursorState is the longest state, in bytes.
	MaxCursorState = 1024
	// maxGaps bounds the acknowledged ranges above the mark: at the bound Next waits
	// until older records are acknowledged.
	maxGaps = 256
)

// From is where a new cursor begins.
type From uint8

// The choices.
const (
	Oldest From = iota // at the oldest record
	End                // behind the newest
)

// Cursor is a reader of a journal with a name. Next may be called by one goroutine at a
// time, everything else concurrently.
type Cursor struct {
	j    *Journal
	name string
	of   *Cursor // if this is a view: the cursor

	// Under the journal's mutex.
	marks
	state   []byte
	lost    Held // in damage
	dropped Held // by MaxBytes and MaxAge
	removed bool
	kept    bool // that it exists is durable

	// Of the goroutine in Next.
	read    uint64         // sequence of the next record to be handed out
	readAt  segment.Totals // totals before it
	seg     *seg
	scanner *segment.Scanner // nil: it begins at offset
	offset  int64
}

// Entry is a record that a cursor has handed out.
type Entry struct {
	segment.Record
	seg    *seg
	offset int64
}

// OwnerCodec is Record.Codec, 0 if there is none.
func (e Entry) OwnerCodec() uint8 {
	if e.Codec < segment.Owner {
		return 0
	}
	return uint8(e.Codec - segment.Owner)
}

// Cursor returns the cursor of a name. A new one begins at from, and is durable when
// Cursor returns nil as its error. After an error it may be there all the same: the next
// call for it tries again.
func (j *Journal) Cursor(name string, from From) (*Cursor, error) {
	if name == "" || len(name) > MaxCursorName {
		return nil, fmt.Errorf("open a cursor: the name has %d bytes, expected 1 to %d", len(name), MaxCursorName)
	}
	j.mu.Lock()
	c, known := j.cursors[name]
	switch {
	case j.closing:
		j.mu.Unlock()
		return nil, ErrClosed
	case !known && len(j.cursors) >= maxCursors:
		j.mu.Unlock()
		return nil, fmt.Errorf("open cursor %q: there are %d, and can be no more", name, maxCursors)
	case !known:
		c = j.newCursor(name, from)
		j.cursors[name] = c
	}
	kept := c.kept
	j.mu.Unlock()
	if kept {
		return c, nil
	}
	if err := j.saveProgress(true); err != nil {
		return nil, fmt.Errorf("open cursor %q: %w", name, err)
	}
	j.mu.Lock()
	c.kept = true
	j.mu.Unlock()
	return c, nil
}

// newCursor makes a cursor. The mutex is held.
func (j *Journal) newCursor(name string, from From) *Cursor {
	c := &Cursor{j: j, name: name, marks: marks{low: j.next, base: j.totals}}
	if from == Oldest || len(j.segments) > 0 && j.segments[0].first < j.atRisk {
		c.low, c.base = j.oldest()
	}
	c.read, c.readAt = c.low, c.base
	return c
}

// oldest is the sequence of the oldest record, and the totals before it. The mutex is
// held.
func (j *Journal) oldest() (uint64, segment.Totals) {
	if len(j.segments) == 0 {
		return j.next, j.totals
	}
	return j.segments[0].first, j.segments[0].begin
}

// Cursors returns the names of all cursors, in their order.
func (j *Journal) Cursors() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return sortedNames(j.cursors)
}

// DropCursor removes a cursor; what it has not acknowledged does not keep segments any
// more. It is durable when DropCursor returns.
func (j *Journal) DropCursor(name string) error {
	j.mu.Lock()
	c, known := j.cursors[name]
	if known {
		c.removed = true
		delete(j.cursors, name)
		j.signalMore()
	}
	j.mu.Unlock()
	if !known && !j.progress.isDirty() { // else it may be one whose removal is not durable
		return nil
	}
	if err := j.saveProgress(true); err != nil {
		return fmt.Errorf("drop cursor %q: %w", name, err)
	}
	j.tend()
	return nil
}

// Name is the cursor's name.
func (c *Cursor) Name() string { return c.name }

// Held is what is not acknowledged.
func (c *Cursor) Held() Held {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return c.held(c.j.next, c.j.totals)
}

// Lost is what could not be read since it was damaged, and what was dropped by MaxBytes
// and MaxAge, since the cursor was made. Both survive.
func (c *Cursor) Lost() (damaged, dropped Held) {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return c.lost, c.dropped
}

// Next returns the next record that is not acknowledged, and waits for one. Damage on
// the way is counted, logged and passed. After the last record of a closed journal the
// error is ErrClosed.
func (c *Cursor) Next(ctx context.Context) (Entry, error) {
	for {
		e, more, err := c.advanceTo(ctx)
		if err != nil || more == nil {
			return e, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return Entry{}, context.Cause(ctx)
		}
	}
}

// TryNext is Next that does not wait for a record: ok is false if there is none now.
func (c *Cursor) TryNext(ctx context.Context) (e Entry, ok bool, err error) {
	e, more, err := c.advanceTo(ctx)
	return e, err == nil && more == nil, err
}

// advanceTo reads the next record; if there is none now it returns a channel that is
// closed when there may be.
func (c *Cursor) advanceTo(ctx context.Context) (Entry, <-chan struct{}, error) {
	for {
		p, err := c.position()
		if err != nil || p.more != nil || p.inMemory {
			return p.entry, p.more, err
		}
		e, found, err := c.scan(ctx, p.seg, p.limit)
		if err != nil {
			return Entry{}, nil, err
		}
		if found {
			return e, nil, nil
		}
	}
}

// place is where the next record is.
type place struct {
	more     <-chan struct{} // there is none now; closed when there may be
	inMemory bool            // it is entry
	entry    Entry
	seg      *seg  // else it is in this segment
	limit    int64 // of whose bytes so many count
}

// position returns where the next record is.
func (c *Cursor) position() (p place, err error) {
	j := c.j
	j.mu.Lock()
	defer j.mu.Unlock()
	if c.read < c.low {
		c.read, c.readAt = c.low, c.base
	}
	if i, found := c.find(c.read); found {
		c.read, c.readAt = c.gaps[i].to, c.gaps[i].end
	}
	switch {
	case c.removed:
		return p, fmt.Errorf("read cursor %q: it was dropped", c.name)
	case j.closed:
		return p, ErrClosed
	case c.read >= j.next || c.of == nil && len(c.gaps) >= maxGaps:
		return place{more: j.more}, nil
	}
	if r, ok := j.recent.get(c.read); ok {
		c.read, c.readAt = r.Sequence+1, r.Before.Add(r.Record)
		c.seg, c.scanner, c.offset = r.seg, nil, r.offset+r.Size()
		return place{inMemory: true, entry: r.Entry}, nil
	}
	i := sort.Search(len(j.segments), func(i int) bool { return j.segments[i].next > c.read })
	if i == len(j.segments) { // the end of the log has no file any more
		c.miss(span{c.read, j.next, c.readAt, j.totals}, nil)
		return place{more: j.more}, nil
	}
	return place{seg: j.segments[i], limit: j.segments[i].written}, nil
}

// scan finds the next record in s, or counts what is missing up to its end.
func (c *Cursor) scan(ctx context.Context, s *seg, limit int64) (e Entry, found bool, err error) {
	file, err := c.j.files.get(s.name)
	if errors.Is(err, fs.ErrNotExist) {
		c.j.mu.Lock()
		defer c.j.mu.Unlock()
		c.miss(span{c.read, s.next, c.readAt, s.end}, s)
		return e, false, nil
	}
	if err != nil {
		return e, false, fmt.Errorf("read segment %s for cursor %q: %w", s.name, c.name, err)
	}
	defer c.j.files.put(file)
	if c.seg != s {
		c.seg, c.scanner, c.offset = s, nil, 0
	}
	if c.scanner == nil {
		c.scanner = segment.NewHeaderScanner(s.id, c.offset)
	}
	c.scanner.Continue(file, limit)
	c.scanner.Retry = (&retries{ctx: ctx}).again
	for c.scanner.Next() {
		if planted(damageEndsSegment) && c.scanner.Damaged() > 0 {
			break
		}
		r, offset := c.scanner.Record()
		if r.Sequence >= c.end(s) {
			break
		}
		if r.Sequence < c.read || r.Sequence >= s.uncertain && !c.scanner.Intact() {
			continue
		}
		if ctx.Err() != nil && c.scanner.Unread() != nil {
			break
		}
		c.j.mu.Lock()
		if r.Sequence > c.read {
			c.miss(span{c.read, r.Sequence, c.readAt, r.Before}, s)
		}
		c.read, c.readAt = r.Sequence+1, r.Before.Add(r)
		acknowledged := c.has(r.Sequence)
		c.j.mu.Unlock()
		if !acknowledged {
			return Entry{Record: r, seg: s, offset: offset}, true, nil
		}
	}
	if ctx.Err() != nil && c.scanner.Unread() != nil { // it may be readable later
		c.seg = nil
		return e, false, context.Cause(ctx)
	}
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	if s.written == limit && c.read < s.next {
		c.miss(span{c.read, s.next, c.readAt, s.end}, s)
	}
	return e, false, nil
}

func (c *Cursor) end(s *seg) uint64 {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return s.next
}

// miss passes records that are not in s, which should have them, and goes on behind
// them. The mutex is held.
func (c *Cursor) miss(m span, s *seg) {
	c.read, c.readAt = m.to, m.end
	c.lose(m, s)
}

// lose acknowledges records that are damaged, and counts them; s is their segment, or
// nil if there is none. The mutex is held.
func (c *Cursor) lose(m span, s *seg) {
	if c.of != nil {
		c.pass(m)
		c = c.of
	}
	missed := c.settle(m)
	if missed.Records == 0 || s != nil && m.from >= s.uncertain {
		return // in the second case the write was cut short, and Append has not returned nil
	}
	c.lost = c.lost.plus(missed)
	name := "(missing)"
	if s != nil {
		s.damaged, name = true, s.name
	}
	c.j.opts.Logger.Error("records of the journal are damaged and are skipped; their segment goes to the quarantine",
		slog.String("cursor", c.name), slog.String("segment", name), slog.Uint64("first", m.from), slog.Uint64("last", m.to-1),
		slog.Uint64("records", missed.Records), slog.Uint64("units", missed.Units), slog.Uint64("bytes", missed.Bytes))
}

// ErrDamaged means that a record cannot be read. It is counted, logged, and passed: the
// caller goes on with the next.
var ErrDamaged = errors.New("the record is damaged")

// ErrDropped means that MaxBytes or MaxAge has removed a record that was handed out.
var ErrDropped = errors.New("the record was dropped")

// Read reads the payload of an entry that is not acknowledged into buf, which has
// e.PayloadBytes bytes. While the disk fails it tries again, for 40 s or until ctx ends.
func (c *Cursor) Read(ctx context.Context, e Entry, buf []byte) error {
	if len(buf) != int(e.PayloadBytes()) {
		return fmt.Errorf("read record %d: the buffer has %d bytes, expected %d", e.Sequence, len(buf), e.PayloadBytes())
	}
	var err error
	p := retries{ctx: ctx}
	for again := true; again; again = p.again(err) {
		if err = c.readOnce(e, buf); err == nil {
			return nil
		}
		c.j.mu.Lock()
		gone := c.has(e.Sequence)
		c.j.mu.Unlock()
		if gone {
			return fmt.Errorf("read record %d: %w", e.Sequence, ErrDropped)
		}
		if errors.Is(err, segment.ErrCorrupt) || errors.Is(err, ErrClosed) {
			break
		}
	}
	if errors.Is(err, ErrClosed) || ctx.Err() != nil && !errors.Is(err, segment.ErrCorrupt) {
		return fmt.Errorf("read record %d: %w", e.Sequence, err)
	}
	return c.Damaged(e, err)
}

// Damaged counts an entry as damaged whose payload was read and is not what its owner
// wrote, as Read does for one that cannot be read. It returns an ErrDamaged, which wraps
// the cause.
func (c *Cursor) Damaged(e Entry, cause error) error {
	c.j.opts.Logger.Error("a record of the journal cannot be read", slog.Any("error", cause))
	c.j.mu.Lock()
	c.lose(recordSpan(e.Record), e.seg)
	version := c.j.version
	c.j.mu.Unlock()
	c.j.noteProgress(version)
	return fmt.Errorf("read record %d: %w: %w", e.Sequence, ErrDamaged, cause)
}

func (c *Cursor) readOnce(e Entry, buf []byte) error {
	file, err := c.j.files.get(e.seg.name)
	if err != nil {
		return err
	}
	defer c.j.files.put(file)
	if e.Codec == segment.None || e.Codec >= segment.Owner {
		err := segment.Read(file, e.seg.id, e.Record, e.offset, buf)
		if planted(crcIgnored) && errors.Is(err, segment.ErrCorrupt) {
			err = nil
		}
		return err
	}
	stored := make([]byte, e.Stored)
	if err := segment.Read(file, e.seg.id, e.Record, e.offset, stored); err != nil {
		return err
	}
	return decompress(e.Record, stored, buf)
}

// Ack acknowledges entries. It survives the end of the process when Ack has returned,
// and that of the machine when SyncProgress has passed.
func (c *Cursor) Ack(entries ...Entry) {
	c.j.mu.Lock()
	c.acknowledge(entries)
}

// acknowledge is Ack. The mutex is held, and released.
func (c *Cursor) acknowledge(entries []Entry) {
	for _, e := range entries {
		c.settle(recordSpan(e.Record))
		if planted(ackIsCumulative) {
			c.settle(span{c.low, e.Sequence, c.base, e.Before})
		}
	}
	c.j.evictRead()
	passed, version := c.j.passed() > 0, c.j.version
	c.j.mu.Unlock()
	c.j.noteProgress(version)
	if passed {
		c.j.tend()
	}
}

// settle passes records, and wakes Next if it waits for that. The mutex is held.
func (c *Cursor) settle(s span) (passed Held) {
	full := len(c.gaps) >= maxGaps
	passed = c.pass(s)
	if full && len(c.gaps) < maxGaps {
		c.j.signalMore()
	}
	c.j.dirty()
	return passed
}

// State is what SetState has set last; nil at first.
func (c *Cursor) State() []byte {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return append([]byte(nil), c.state...)
}

// SetState keeps up to MaxCursorState bytes of the owner with the progress: what it has
// in flight, for example. With durable it returns when they are.
func (c *Cursor) SetState(state []byte, durable bool) error {
	if len(state) > MaxCursorState {
		return fmt.Errorf("set the state of cursor %q: it has %d bytes, expected at most %d", c.name, len(state), MaxCursorState)
	}
	c.j.mu.Lock()
	c.state = append([]byte(nil), state...)
	c.j.dirty()
	c.j.mu.Unlock()
	if err := c.j.saveProgress(durable); err != nil {
		return fmt.Errorf("set the state of cursor %q: %w", c.name, err)
	}
	return nil
}
