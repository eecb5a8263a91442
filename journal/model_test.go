package journal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// modelRecord is a record of the model: what was appended. Its sequence is its key.
type modelRecord struct {
	units, bytes uint64
	number       int
}

// modelCursor is a cursor of the model: a list of what is not acknowledged.
type modelCursor struct {
	held    []uint64
	state   string
	dropped Held
}

func (c modelCursor) clone() modelCursor {
	c.held = slices.Clone(c.held)
	return c
}

// model is what a journal should have, beside the journal.
//
// With a power cut, the progress that is found is one of those that were written since
// the last that was certain to be durable: past has them.
type model struct {
	t    *rapid.T
	fs   *vfs.Mem
	opts Options
	dir  string
	j    *Journal
	open map[string]*Cursor
	out  map[string][]Entry // handed out in this life, not acknowledged
	last map[string]uint64  // the highest that was handed out in this life

	next    uint64
	totals  segment.Totals // of all before next
	records map[uint64]modelRecord
	cursors map[string]modelCursor
	past    []map[string]modelCursor
	number  int             // of payloads
	unclear map[int]bool    // numbers of records that were refused: they may be there after Open
	adopted map[uint64]bool // those that were there: after a power cut they may not be any more
	failing bool
	full    bool

	sourcesMu sync.Mutex
	sources   []*numbered // of this life
}

// modelSteps counts steps over all checks.
var modelSteps atomic.Int64

// TestModel compares a journal with a list, in random lives with power cuts, disks that
// fail and disks that are full.
//
//	go test ./journal -run TestModel -rapid.checks 20000 -rapid.steps 60 -v
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { runModel(t, 1) })
	t.Logf("%d steps", modelSteps.Load())
}

// TestModelWraps is TestModel with numbers around 2³² and 2⁶³.
func TestModelWraps(t *testing.T) {
	for _, first := range []uint64{1<<32 - 2, 1<<63 - 2} {
		t.Run(fmt.Sprintf("%x", first), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { runModel(t, first) })
		})
	}
}

func runModel(t *rapid.T, first uint64) {
	o := small()
	o.first, o.MaxBytes = first, 48<<10
	o.Compress = rapid.Bool().Draw(t, "compress")
	if rapid.Bool().Draw(t, "drop oldest") {
		o.WhenFull = DropOldest
	}
	m := &model{t: t, fs: vfs.NewMem(capacity), opts: o, next: first, records: map[uint64]modelRecord{}, cursors: map[string]modelCursor{}, unclear: map[int]bool{}, adopted: map[uint64]bool{}}
	m.past = []map[string]modelCursor{{}}
	m.start(false)
	defer func() { m.j.Close() }()
	t.Repeat(map[string]func(*rapid.T){
		"":               m.check,
		"append":         m.append,
		"append more":    m.append,
		"append several": m.appendSeveral,
		"next":           m.take,
		"next again":     m.take,
		"ack":            m.ack,
		"ack all":        m.ackAll,
		"set state":      m.setState,
		"cursor":         m.cursor,
		"drop cursor":    m.dropCursor,
		"reopen":         m.reopen,
		"power cut":      m.crash,
		"fail":           m.fail,
		"work":           m.work,
		"full disk":      m.fill,
		"free disk":      m.free,
	})
}

// start opens the journal, after a power cut if cut is true.
func (m *model) start(cut bool) {
	dir, unmount := mount(m.fs)
	m.t.Cleanup(unmount)
	j, err := Open(dir, m.opts)
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	m.dir, m.j, m.open, m.out, m.last = dir, j, map[string]*Cursor{}, map[string][]Entry{}, map[string]uint64{}
	m.adopt()
	m.recovered(cut)
}

// adopt takes over what was refused and is there all the same.
func (m *model) adopt() {
	for _, s := range m.j.segments {
		if s.next <= m.next {
			continue
		}
		file, err := m.fs.Open(s.name, false)
		if err != nil {
			m.t.Fatal(err)
		}
		scanner := segment.NewScanner(file, s.id, 0, s.size)
		for scanner.Next() {
			r, offset := scanner.Record()
			if r.Sequence < m.next || r.Sequence >= s.next {
				continue
			}
			buf := make([]byte, r.PayloadBytes())
			if err := (&Cursor{j: m.j}).readOnce(Entry{r, s, offset}, buf); err != nil {
				m.t.Fatal(err)
			}
			number := int(binary.LittleEndian.Uint32(buf))
			for m.next < r.Sequence && m.next >= s.uncertain { // of the same group, and not whole
				m.adopted[m.next] = true
				m.add(modelRecord{units: r.Before.Units - m.totals.Units, bytes: r.Before.Bytes - m.totals.Bytes})
			}
			if r.Sequence != m.next || !m.unclear[number] {
				m.t.Fatalf("record %d (number %d) was not appended; the next is %d", r.Sequence, number, m.next)
			}
			delete(m.unclear, number)
			m.adopted[m.next] = true
			m.appended(number, r.Bytes())
		}
	}
	clear(m.unclear)
	if got := m.j.next; got != m.next {
		m.t.Fatalf("the journal goes on at %d, want %d", got, m.next)
	}
}

// appended adds a record to the list.
func (m *model) appended(number int, stored uint32) {
	m.add(modelRecord{units: uint64(number % 7), bytes: uint64(stored), number: number})
}

func (m *model) add(r modelRecord) {
	m.records[m.next] = r
	m.totals.Units, m.totals.Bytes = m.totals.Units+r.units, m.totals.Bytes+r.bytes
	for _, cursors := range append(slices.Clone(m.past), m.cursors) {
		for name, c := range cursors {
			c.held = append(c.held, m.next)
			cursors[name] = c
		}
	}
	m.next++
}

// recovered finds out which of the states of the past a journal has that was opened.
func (m *model) recovered(cut bool) {
	candidates := append(slices.Clone(m.past), m.cursors)
	if !cut && !m.j.progress.failed() && !m.failing {
		candidates = candidates[len(candidates)-1:]
	}
	var reasons []string
	for _, cursors := range slices.Backward(candidates) {
		reason := m.differs(cursors)
		if reason == "" {
			m.cursors = cursors
			m.durable()
			return
		}
		reasons = append(reasons, reason)
	}
	m.t.Fatalf("what was opened is none of %d states that it can have: %s", len(candidates), strings.Join(reasons, "; "))
}

// differs returns how the journal differs from the model; "" if it does not.
func (m *model) differs(cursors map[string]modelCursor) string {
	if got, want := m.j.Cursors(), slices.Sorted(maps.Keys(cursors)); !slices.Equal(got, want) {
		return fmt.Sprintf("the cursors are %v, want %v", got, want)
	}
	for name, want := range cursors {
		c := m.j.cursors[name]
		var held Held
		for _, sequence := range want.held {
			r := m.records[sequence]
			held = held.plus(Held{1, r.units, r.bytes})
		}
		damaged, dropped := c.Lost()
		switch got := c.Held(); {
		case damaged != Held{}:
			return fmt.Sprintf("cursor %s has %+v damaged", name, damaged)
		case dropped != want.dropped:
			return fmt.Sprintf("cursor %s has %+v dropped, want %+v", name, dropped, want.dropped)
		case got != held:
			return fmt.Sprintf("cursor %s holds %+v, want %+v", name, got, held)
		case string(c.State()) != want.state:
			return fmt.Sprintf("cursor %s has the state %q, want %q", name, c.State(), want.state)
		}
		for _, sequence := range want.held {
			if c.has(sequence) {
				return fmt.Sprintf("cursor %s has acknowledged %d", name, sequence)
			}
		}
	}
	return ""
}

// changed notes that the progress has changed and was, perhaps, written.
func (m *model) changed(before map[string]modelCursor) { m.past = append(m.past, before) }

// before is the state now, for changed.
func (m *model) before() map[string]modelCursor {
	c := make(map[string]modelCursor, len(m.cursors))
	for name, cursor := range m.cursors {
		c[name] = cursor.clone()
	}
	return c
}

// durable notes that the state now is what a power cut leaves.
func (m *model) durable() { m.past = nil }

// check compares after each step.
func (m *model) check(t *rapid.T) {
	modelSteps.Add(1)
	m.t = t
	m.j.removePassed() // what the cleaner was woken for, now
	m.dropped()
	if reason := m.differs(m.cursors); reason != "" {
		t.Fatal(reason)
	}
	m.j.mu.Lock()
	dirty := m.j.progressDirty
	m.j.mu.Unlock()
	if !dirty && !m.j.progress.isDirty() {
		m.durable()
	}
	if used := m.j.Stats().Bytes; used > m.opts.MaxBytes {
		t.Fatalf("%d bytes are used, at most %d", used, m.opts.MaxBytes)
	}
}

// dropped takes over what the journal says that it has dropped: the oldest records.
func (m *model) dropped() {
	if m.opts.WhenFull != DropOldest {
		return
	}
	before, any := m.before(), false
	for name, c := range m.cursors {
		_, dropped := m.j.cursors[name].Lost()
		for n := dropped.Records - c.dropped.Records; n > 0; n-- {
			if len(c.held) == 0 {
				m.t.Fatalf("cursor %s has dropped more than it held", name)
			}
			r := m.records[c.held[0]]
			c.dropped = c.dropped.plus(Held{1, r.units, r.bytes})
			c.held = c.held[1:]
			any = true
		}
		m.cursors[name] = c
	}
	if any {
		m.changed(before)
	}
}

// try appends a record, without the model.
func (m *model) try(number int) (uint64, error) {
	r := recordOf(number)
	if number%3 > 0 { // its payload may be kept in memory
		source := &numbered{number: number}
		r.Source = source
		m.sourcesMu.Lock()
		m.sources = append(m.sources, source)
		m.sourcesMu.Unlock()
	}
	return m.j.Append(context.Background(), r)
}

// recordOf is the record of a number. The owner has compressed some.
func recordOf(number int) Record {
	b := payload(number)
	r := Record{Parts: [][]byte{b[:len(b)/2], b[len(b)/2:]}, Units: uint32(number % 7), Tag: uint16(number)}
	if number%5 == 0 {
		r.Codec, r.Plain = uint8(1+number%127), int64(len(b)+number%1000)
	}
	return r
}

// numbered is the Source of a payload.
type numbered struct {
	number int
	refs   atomic.Int64
}

func (n *numbered) Retain()  { n.refs.Add(1) }
func (n *numbered) Release() { n.refs.Add(-1) }

// released checks that a journal that was closed keeps nothing.
func (m *model) released(t *rapid.T) {
	for _, s := range m.sources {
		if n := s.refs.Load(); n != 0 {
			t.Fatalf("the payload %d has %d references after Close", s.number, n)
		}
	}
	m.sources = nil
}

// stored is as how many bytes a record counts.
func (m *model) stored(number int) uint32 {
	p, err := m.j.prepare(recordOf(number))
	if err != nil {
		m.t.Fatal(err)
	}
	if p.release != nil {
		p.release()
	}
	return p.record.Bytes()
}

func (m *model) refused(number int, err error) {
	if !m.failing && !m.full && !(errors.Is(err, ErrFull) && m.opts.WhenFull == Refuse) {
		m.t.Fatalf("append: %v", err)
	}
	m.unclear[number] = true
}

func (m *model) append(t *rapid.T) {
	number := m.number
	m.number++
	sequence, err := m.try(number)
	if err != nil {
		m.refused(number, err)
		return
	}
	if sequence != m.next {
		t.Fatalf("the record is %d, want %d", sequence, m.next)
	}
	m.appended(number, m.stored(number))
}

func (m *model) appendSeveral(t *rapid.T) {
	n := rapid.IntRange(2, 5).Draw(t, "records")
	sequences, errs := make([]uint64, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { sequences[i], errs[i] = m.try(m.number + i) })
	}
	wg.Wait()
	order := map[uint64]int{}
	for i := range n {
		if errs[i] != nil {
			m.refused(m.number+i, errs[i])
			continue
		}
		order[sequences[i]] = m.number + i
	}
	for range len(order) {
		number, ok := order[m.next]
		if !ok {
			t.Fatalf("the records are %v, want them from %d on", sequences, m.next)
		}
		m.appended(number, m.stored(number))
	}
	m.number += n
}

// pick returns the name of a cursor and its reader; "" if there is none.
func (m *model) pick(t *rapid.T) string {
	names := slices.Sorted(maps.Keys(m.open))
	if len(names) == 0 {
		return ""
	}
	return rapid.SampledFrom(names).Draw(t, "cursor")
}

func (m *model) take(t *rapid.T) {
	m.dropped()
	name := m.pick(t)
	if name == "" {
		return
	}
	c := m.open[name]
	e, ok, err := c.TryNext(ctx)
	want, some := m.expected(name)
	for some && m.adopted[want] && err == nil && (!ok || e.Sequence > want) { // it was refused, and now it is lost
		m.changed(m.before())
		m.acknowledge(name, want)
		want, some = m.expected(name)
	}
	if err != nil || ok != some || ok && e.Sequence != want {
		t.Fatalf("next: %d, %v, %v; want %d, %v", e.Sequence, ok, err, want, some)
	}
	if !ok {
		return
	}
	if n, err := read(c, e); err != nil || n != m.records[e.Sequence].number {
		t.Fatalf("read %d: number %d, want %d, %v", e.Sequence, n, m.records[e.Sequence].number, err)
	}
	if s, ok := c.Source(e); ok {
		if n := s.(*numbered).number; n != m.records[e.Sequence].number {
			t.Fatalf("in memory %d: number %d, want %d", e.Sequence, n, m.records[e.Sequence].number)
		}
		s.Release()
	}
	m.last[name] = e.Sequence
	m.out[name] = append(m.out[name], e)
}

// expected is the next record of a cursor: in order, and nothing twice in a life.
func (m *model) expected(name string) (sequence uint64, some bool) {
	for _, sequence := range m.cursors[name].held {
		if sequence > m.last[name] {
			return sequence, true
		}
	}
	return 0, false
}

// acknowledge takes a record out of the list of a cursor.
func (m *model) acknowledge(name string, sequence uint64) {
	c := m.cursors[name]
	c.held = slices.DeleteFunc(slices.Clone(c.held), func(q uint64) bool { return q == sequence })
	m.cursors[name] = c
}

func (m *model) settle(name string, entries ...Entry) {
	m.dropped()
	m.changed(m.before())
	for _, e := range entries {
		m.acknowledge(name, e.Sequence)
	}
	m.open[name].Ack(entries...)
}

func (m *model) ack(t *rapid.T) {
	name := m.pick(t)
	if len(m.out[name]) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.out[name])-1).Draw(t, "entry")
	e := m.out[name][i]
	m.out[name] = slices.Delete(m.out[name], i, i+1)
	m.settle(name, e)
}

func (m *model) ackAll(t *rapid.T) {
	name := m.pick(t)
	if len(m.out[name]) > 0 {
		entries := m.out[name]
		delete(m.out, name)
		m.settle(name, entries...)
	}
}

func (m *model) setState(t *rapid.T) {
	m.dropped()
	name := m.pick(t)
	if name == "" {
		return
	}
	state, durable := rapid.StringN(0, 20, 40).Draw(t, "state"), rapid.Bool().Draw(t, "durable")
	m.changed(m.before())
	c := m.cursors[name]
	c.state = state
	m.cursors[name] = c
	err := m.open[name].SetState([]byte(state), durable)
	m.saved(err, durable)
}

// saved notes the result of something that writes the progress.
func (m *model) saved(err error, durable bool) {
	if err != nil && !m.failing && !m.full {
		m.t.Fatal(err)
	}
	if err == nil && durable {
		m.durable()
	}
}

func (m *model) cursor(t *rapid.T) {
	m.dropped()
	name := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")
	from := rapid.SampledFrom([]From{Oldest, End}).Draw(t, "from")
	_, known := m.cursors[name]
	if !known {
		m.changed(m.before())
		c := modelCursor{}
		m.j.mu.Lock()
		oldest, _ := m.j.oldest()
		m.j.mu.Unlock()
		for q := oldest; from == Oldest && q < m.next; q++ {
			c.held = append(c.held, q)
		}
		m.cursors[name] = c
		m.last[name] = 0
		delete(m.out, name)
	}
	c, err := m.j.Cursor(name, from)
	m.saved(err, !known)
	if err == nil {
		m.open[name] = c
	}
}

func (m *model) dropCursor(t *rapid.T) {
	m.dropped()
	name := m.pick(t)
	if name == "" {
		return
	}
	m.changed(m.before())
	delete(m.cursors, name)
	delete(m.open, name)
	delete(m.out, name)
	m.saved(m.j.DropCursor(name), true)
}

func (m *model) reopen(t *rapid.T) {
	m.work(t)
	m.free(t)
	m.j.removePassed()
	m.dropped()
	if err := m.j.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.released(t)
	m.start(false)
}

// crash takes an image, closes what was open, and goes on with the image.
func (m *model) crash(t *rapid.T) {
	m.j.removePassed()
	m.dropped()
	mode := vfs.Mode(rapid.IntRange(0, int(vfs.Modes)-1).Draw(t, "mode"))
	seed := rapid.Uint64().Draw(t, "seed")
	image := m.fs.Crash(mode, rand.New(rand.NewPCG(seed, 1)))
	image.SetCapacity(capacity)
	m.j.Close() // its errors do not matter to the image
	m.released(t)
	m.fs, m.failing, m.full = image, false, false
	m.start(true)
}

func (m *model) fail(t *rapid.T) {
	kind := rapid.SampledFrom([]vfs.Kind{vfs.OpSync, vfs.OpWrite, vfs.OpCreate, vfs.OpRemove, vfs.OpSyncDir, vfs.OpPreallocate, vfs.OpTruncate, vfs.OpRename}).Draw(t, "kind")
	fault := rapid.SampledFrom([]error{syscall.EIO, syscall.EROFS, syscall.ENOSPC, vfs.Short{Err: syscall.EIO}}).Draw(t, "fault")
	part := rapid.SampledFrom([]string{"", suffix, progressPrefix}).Draw(t, "files")
	times := int64(rapid.SampledFrom([]int{1, 2, 1 << 30}).Draw(t, "times"))
	m.failing = true
	var n atomic.Int64
	m.fs.Inject(func(op vfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Name, part) && n.Add(1) <= times {
			return fault
		}
		return nil
	})
}

func (m *model) work(*rapid.T) {
	m.fs.Inject(nil)
	if m.failing {
		_ = m.j.saveProgress(true)
	}
	m.failing = false
}

func (m *model) fill(*rapid.T) { m.fs.SetCapacity(0); m.full = true }

func (m *model) free(*rapid.T) { m.fs.SetCapacity(capacity); m.full = false }
