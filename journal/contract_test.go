package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// openMem opens a journal in m, until the test ends.
func openMem(t *testing.T, m *vfs.Mem, o Options) *Journal {
	t.Helper()
	dir, unmount := mount(m)
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close(); unmount() })
	return j
}

func cursor(t *testing.T, j *Journal, name string, from From) *Cursor {
	t.Helper()
	c, err := j.Cursor(name, from)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// put appends a payload.
func put(t *testing.T, j *Journal, payload []byte) (sequence uint64) {
	t.Helper()
	sequence, err := j.Append(ctx, Record{Parts: [][]byte{payload}, Units: 1})
	if err != nil {
		t.Fatal(err)
	}
	return sequence
}

// next returns the next entry, which is there.
func next(t *testing.T, c *Cursor) Entry {
	t.Helper()
	e, ok, err := c.TryNext(ctx)
	if err != nil || !ok {
		t.Fatalf("the next record: %v, %v", ok, err)
	}
	return e
}

// image is what a machine finds in m that loses its power now, with mode.
func image(m *vfs.Mem, mode vfs.Mode) *vfs.Mem {
	return m.Crash(mode, rand.New(rand.NewPCG(1, 1)))
}

// fail makes all operations of a kind on files whose names contain part fail, until the
// returned function is called.
func fail(m *vfs.Mem, kind vfs.Kind, part string) (stop func()) {
	m.Inject(func(op vfs.Op) error {
		if op.Kind == kind && strings.Contains(op.Name, part) {
			return syscall.EIO
		}
		return nil
	})
	return func() { m.Inject(nil) }
}

// damage overwrites a part of a file with ones.
func damage(t *testing.T, m vfs.FS, name string, off, n int64) {
	t.Helper()
	f, err := m.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xff}, int(n)), off); err != nil {
		t.Fatal(err)
	}
}

// The progress of as many cursors as there can be, with as many ranges as each can have
// and numbers of 64 bits, is read again.
func TestProgressLargerThanASlot(t *testing.T) {
	m := vfs.NewMem(64 << 20)
	o := small()
	o.slot, o.first = 0, 1<<62
	j := openMem(t, m, o)
	want := map[string]marks{}
	for i := range maxCursors {
		c := cursor(t, j, fmt.Sprintf("%0*d", MaxCursorName, i), Oldest)
		j.mu.Lock()
		for g := range uint64(maxGaps) {
			from := 1<<62 + 10*g + 5
			c.gaps = append(c.gaps, span{from, from + 2, segment.Totals{Units: 1 << 62, Bytes: 1 << 62}, segment.Totals{Units: 1<<62 + 1, Bytes: 1<<62 + 1}})
		}
		want[c.name] = c.marks
		j.mu.Unlock()
		if err := c.SetState(bytes.Repeat([]byte{1}, MaxCursorState), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.saveProgress(true); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Cursor("one more", Oldest); err == nil {
		t.Errorf("there are more than %d cursors", maxCursors)
	}
	again := openMem(t, image(m, vfs.DropAll), o)
	for name, w := range want {
		c := again.cursors[name]
		if c == nil || fmt.Sprint(c.marks) != fmt.Sprint(w) {
			t.Fatalf("a cursor is not what it was")
		}
	}
}

// The file of the progress is replaced by a larger one when it has to be.
func TestProgressGrows(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.slot = 512
	j := openMem(t, m, o)
	for i := range 5 {
		c := cursor(t, j, fmt.Sprint(i), Oldest)
		if err := c.SetState(bytes.Repeat([]byte{byte(i)}, 400), true); err != nil {
			t.Fatal(err)
		}
	}
	again := openMem(t, image(m, vfs.DropAll), o)
	if got := fmt.Sprint(again.Cursors()); got != "[0 1 2 3 4]" {
		t.Errorf("cursors %s", got)
	}
	if got := cursor(t, again, "3", Oldest).State(); !bytes.Equal(got, bytes.Repeat([]byte{3}, 400)) {
		t.Errorf("a state of %d bytes", len(got))
	}
}

// A file of the progress whose making failed, and that could not be removed, does not
// count beside the one that was made after it.
func TestProgressThatWasNotMade(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	failing := true
	m.Inject(func(op vfs.Op) error {
		switch {
		case !failing:
		case op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, "1"), op.Kind == vfs.OpSyncDir, op.Kind == vfs.OpRemove:
			return syscall.EIO
		}
		return nil
	})
	if err := c.SetState([]byte("old"), true); err == nil {
		t.Fatal("no error")
	}
	failing = false
	m.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpRemove {
			return syscall.EIO
		}
		return nil
	})
	if err := c.SetState([]byte("new"), true); err != nil {
		t.Fatal(err)
	}
	for mode := range vfs.Modes {
		again := openMem(t, image(m, mode), small())
		if got := cursor(t, again, "a", Oldest).State(); string(got) != "new" {
			t.Errorf("%v: the state is %q", mode, got)
		}
	}
}

// A cursor whose making failed is durable when it was asked for again.
func TestCursorThatWasNotMade(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	put(t, j, []byte("before"))
	failing := true
	m.Inject(func(op vfs.Op) error {
		if failing && (op.Kind == vfs.OpSync || op.Kind == vfs.OpCreate) && strings.HasPrefix(op.Name, progressPrefix) {
			return syscall.EIO
		}
		return nil
	})
	if _, err := j.Cursor("a", End); err == nil {
		t.Fatal("no error")
	}
	failing = false
	cursor(t, j, "a", End)
	m = image(m, vfs.DropAll)
	if got := openMem(t, m, small()).Cursors(); len(got) != 1 {
		t.Errorf("after a power cut the cursors are %v", got)
	}
}

// A cursor that was not dropped durably is when it is dropped again.
func TestCursorThatWasNotDropped(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	cursor(t, j, "a", End)
	failing := true
	m.Inject(func(op vfs.Op) error {
		if failing && (op.Kind == vfs.OpWrite || op.Kind == vfs.OpCreate) {
			return syscall.EIO
		}
		return nil
	})
	if err := j.DropCursor("a"); err == nil {
		t.Fatal("no error")
	}
	failing = false
	if err := j.DropCursor("a"); err != nil {
		t.Fatal(err)
	}
	m = image(m, vfs.DropAll)
	if got := openMem(t, m, small()).Cursors(); len(got) != 0 {
		t.Errorf("after a power cut the cursors are %v", got)
	}
}

// fillGaps acknowledges every second record until Next has to wait, and returns those
// that are not.
func fillGaps(t *testing.T, j *Journal, c *Cursor) (held []Entry) {
	t.Helper()
	for i := range 2*maxGaps + 10 {
		put(t, j, []byte(fmt.Sprint(i)))
	}
	for i := 0; ; i++ {
		e, ok, err := c.TryNext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if i%2 == 0 {
			held = append(held, e)
		} else {
			c.Ack(e)
		}
	}
	if len(c.gaps) != maxGaps || len(held) < maxGaps {
		t.Fatalf("%d ranges, %d held", len(c.gaps), len(held))
	}
	return held
}

// At the bound of ranges Next waits, and goes on when something below them has passed:
// acknowledged, damaged, or dropped.
func TestNextAtTheBoundOfRanges(t *testing.T) {
	ways := map[string]func(t *testing.T, m *vfs.Mem, j *Journal, c *Cursor, held []Entry){
		"acknowledged": func(t *testing.T, _ *vfs.Mem, _ *Journal, c *Cursor, held []Entry) { c.Ack(held[0]) },
		"damaged": func(t *testing.T, m *vfs.Mem, _ *Journal, c *Cursor, held []Entry) {
			damage(t, m, held[0].seg.name, held[0].offset+segment.RecordHeaderSize, 1)
			if err := c.Read(ctx, held[0], make([]byte, held[0].PayloadBytes())); !errors.Is(err, ErrDamaged) {
				t.Errorf("read: %v", err)
			}
		},
		"dropped": func(t *testing.T, _ *vfs.Mem, j *Journal, _ *Cursor, _ []Entry) {
			if dropped, err := j.dropFirst("a test"); !dropped || err != nil {
				t.Errorf("dropped: %v, %v", dropped, err)
			}
		},
	}
	for name, pass := range ways {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := vfs.NewMem(capacity)
				o := small()
				dir, unmount := mount(m)
				defer unmount()
				j, err := Open(dir, o)
				if err != nil {
					t.Fatal(err)
				}
				defer j.Close()
				c := cursor(t, j, "a", Oldest)
				held := fillGaps(t, j, c)
				done := make(chan error, 1)
				go func() {
					_, err := c.Next(ctx)
					done <- err
				}()
				synctest.Wait()
				select {
				case err := <-done:
					t.Fatalf("Next did not wait: %v", err)
				default:
				}
				pass(t, m, j, c, held)
				synctest.Wait()
				select {
				case err := <-done:
					if err != nil {
						t.Error(err)
					}
				default:
					t.Error("Next waits still")
				}
			})
		})
	}
}

// What is read from a closed journal has ErrClosed at once, and does not count as
// damaged.
func TestReadAfterClose(t *testing.T) {
	readPause = 10 * time.Millisecond
	defer func() { readPause = 0 }()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(capacity)
		dir, unmount := mount(m)
		defer unmount()
		j, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		c := cursor(t, j, "a", Oldest)
		put(t, j, []byte("x"))
		e := next(t, c)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := c.Read(ctx, e, make([]byte, 1)); !errors.Is(err, ErrClosed) || errors.Is(err, ErrDamaged) {
			t.Errorf("read: %v", err)
		}
		if time.Since(begin) > 0 {
			t.Errorf("it took %v", time.Since(begin))
		}
		if damaged, _ := c.Lost(); damaged != (Held{}) {
			t.Errorf("%+v damaged", damaged)
		}
		if _, _, err := c.TryNext(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("next: %v", err)
		}
		if _, err := j.Append(ctx, Record{}); !errors.Is(err, ErrClosed) {
			t.Errorf("append: %v", err)
		}
		if _, err := j.Cursor("b", End); !errors.Is(err, ErrClosed) {
			t.Errorf("cursor: %v", err)
		}
	})
}

// Close waits neither for readers nor closes files under them.
func TestCloseWhileReading(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{ReserveBytes: -1, SegmentBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		put(t, j, bytes.Repeat([]byte{byte(i)}, 1000))
	}
	var wg sync.WaitGroup
	started := make(chan struct{}, 4)
	for i := range 4 {
		c := cursor(t, j, fmt.Sprint(i), Oldest)
		wg.Go(func() {
			for first := true; ; first = false {
				e, err := c.Next(ctx)
				if err == nil {
					err = c.Read(ctx, e, make([]byte, e.PayloadBytes()))
				}
				if first {
					started <- struct{}{}
				}
				if damaged, _ := c.Lost(); damaged != (Held{}) {
					t.Errorf("%+v damaged", damaged)
				}
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 4 {
		<-started
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Close ends Next that waits.
func TestCloseWhileNextWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, unmount := mount(vfs.NewMem(capacity))
		defer unmount()
		j, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		for i := range 3 {
			c := cursor(t, j, fmt.Sprint(i), Oldest)
			go func() {
				_, err := c.Next(ctx)
				errs <- err
			}()
		}
		synctest.Wait()
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		for range 3 {
			if err := <-errs; !errors.Is(err, ErrClosed) {
				t.Errorf("Next returned %v", err)
			}
		}
		if err := j.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

// Next of a cursor that is dropped meanwhile, and of a context that ends, returns.
func TestNextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, unmount := mount(vfs.NewMem(capacity))
		defer unmount()
		j, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		c := cursor(t, j, "a", Oldest)
		done := make(chan error, 1)
		run := func(ctx context.Context) {
			go func() {
				_, err := c.Next(ctx)
				done <- err
			}()
			synctest.Wait()
		}
		cancelled, cancel := context.WithCancelCause(ctx)
		run(cancelled)
		cancel(errEnded)
		if err := <-done; !errors.Is(err, errEnded) {
			t.Errorf("Next returned %v", err)
		}
		run(ctx)
		if err := j.DropCursor("a"); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil || errors.Is(err, ErrClosed) {
			t.Errorf("Next of a dropped cursor returned %v", err)
		}
	})
}

// A record that never fits is refused as such, and nothing is dropped for it.
func TestRecordBeyondTheBoundOfTheJournal(t *testing.T) {
	o := small()
	o.WhenFull, o.MaxRecordBytes = DropOldest, 1<<20
	m := vfs.NewMem(capacity)
	j := openMem(t, m, o)
	c := cursor(t, j, "a", Oldest)
	for range 20 {
		put(t, j, make([]byte, 1000))
	}
	if _, err := j.Append(ctx, Record{Parts: [][]byte{make([]byte, 300<<10)}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append: %v", err)
	}
	if _, err := j.Append(ctx, Record{Parts: [][]byte{make([]byte, 1<<20), {1}}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("append beyond MaxRecordBytes: %v", err)
	}
	if held := c.Held(); held.Records != 20 {
		t.Errorf("%+v held", held)
	}
}

func TestValidate(t *testing.T) {
	for _, o := range []Options{
		{MaxBytes: 1000}, {SegmentBytes: 100, MaxBytes: 1 << 20}, {MaxRecordBytes: 1 << 32, MaxBytes: 1 << 40},
		{MaxAge: -1}, {SyncProgress: -1}, {MaxBytes: 1 << 20, SegmentBytes: 1 << 20},
	} {
		if _, err := Open(t.TempDir(), o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

// A segment that is in the quarantine already, since a power cut kept both halves of its
// move, does not stay in the folder.
func TestQuarantineHasTheSegment(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	for range 40 {
		put(t, j, make([]byte, 1000))
	}
	first := segments(m)[0].Name
	f, err := m.Create("quarantine/" + first)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	damage(t, m, first, segment.HeaderSize+segment.RecordHeaderSize, 1)
	found := 0
	for e, ok, err := c.TryNext(ctx); ok && err == nil; e, ok, err = c.TryNext(ctx) {
		if err := c.Read(ctx, e, make([]byte, e.PayloadBytes())); err == nil {
			found++
			c.Ack(e)
		}
	}
	j.removePassed()
	if found != 39 || segments(m)[0].Name == first {
		t.Errorf("%d of 39 records found, and the segment is still there: %v", found, segments(m)[0].Name == first)
	}
}

// A record that has a codec and nothing else is damaged.
func TestDecompressNothing(t *testing.T) {
	z, err := encoder()
	if err != nil {
		t.Fatal(err)
	}
	if err := decompress(segment.Record{Codec: segment.Zstd}, z.EncodeAll(nil, nil), nil); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("of an empty frame: %v", err)
	}
	bomb := z.EncodeAll(make([]byte, 1<<20), nil)
	if err := decompress(segment.Record{Codec: segment.Zstd, Length: 10}, bomb, make([]byte, 10)); !errors.Is(err, segment.ErrCorrupt) {
		t.Errorf("of more than there should be: %v", err)
	}
}

// syncs counts the calls of SyncDir.
type syncs struct {
	vfs.FS
	n *int
}

func (s syncs) SyncDir(dir string) error { *s.n++; return s.FS.SyncDir(dir) }
func (s syncs) Close() error             { return nil }

// Each folder that Open creates is synced into the one above.
func TestFoldersAreDurable(t *testing.T) {
	top := t.TempDir()
	n := 0
	fs, err := vfs.At(top)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	defer vfs.Mount(top, syncs{fs, &n})()
	j, err := Open(filepath.Join(top, "a", "b", "c"), Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if n == 0 {
		t.Error("the folder above the first that was created was not synced")
	}
	for _, dir := range []string{"a", "a/b", "a/b/c"} {
		if info, err := os.Stat(filepath.Join(top, dir)); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

// Files that are not the journal's are left alone, also in the quarantine.
func TestForeignFiles(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.QuarantineBytes = -1
	names := []string{"notes.txt", "0000000000000001.seg", "progress-1", "progress-000000000000000g", "quarantine/notes.txt", "x-0000000000000001.seg"}
	if err := m.Mkdir("quarantine"); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := m.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte(name), 0); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{}
	dir, unmount := mount(m)
	defer unmount()
	for range 2 {
		j, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		c := cursor(t, j, "a", Oldest)
		for range 40 {
			if err := w.append(j); err != nil {
				t.Fatal(err)
			}
		}
		damage(t, m, segments(m)[2].Name, 0, 300) // 0 and 1 are foreign
		if _, err := salvage(c); err != nil {
			t.Fatal(err)
		}
		j.removePassed()
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if q := j.Stats().Quarantined; q == 0 {
			t.Error("nothing went to the quarantine")
		}
	}
	for _, name := range names {
		f, err := m.Open(name, false)
		if err != nil {
			t.Error(err)
			continue
		}
		b := make([]byte, len(name))
		if _, err := f.ReadAt(b, 0); err != nil || string(b) != name {
			t.Errorf("%s has %q, %v", name, b, err)
		}
	}
}

// A segment that cannot be removed is removed later.
func TestRemovalThatFails(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	stop := fail(m, vfs.OpRemove, suffix)
	for range 40 {
		put(t, j, make([]byte, 1000))
	}
	if _, err := drainAny(c); err != nil {
		t.Fatal(err)
	}
	j.removePassed()
	if n := len(segments(m)); n < 5 {
		t.Fatalf("%d segments while none can be removed", n)
	}
	stop()
	j.removePassed()
	if n := len(segments(m)); n != 1 {
		t.Errorf("%d segments, want the one that is written", n)
	}
	if s := j.Stats(); s.Segments != 1 || s.Bytes > 8<<10 {
		t.Errorf("%d segments of %d bytes", s.Segments, s.Bytes)
	}
}

// drainAny acknowledges all that a cursor has, and returns the sequences.
func drainAny(c *Cursor) (sequences []uint64, err error) {
	for {
		e, ok, err := c.TryNext(ctx)
		if err != nil || !ok {
			return sequences, err
		}
		sequences = append(sequences, e.Sequence)
		c.Ack(e)
	}
}

// A segment whose making failed, and whose removal too, is removed later: by the
// cleaner, or by the next Open.
func TestLeftovers(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	m.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpPreallocate || op.Kind == vfs.OpRemove {
			return syscall.EIO
		}
		return nil
	})
	if _, err := j.Append(ctx, Record{}); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("append: %v", err)
	}
	m.Inject(nil)
	if n := len(segments(m)); n != 1 {
		t.Fatalf("%d files are left, want 1", n)
	}
	opened := image(m, vfs.KeepAll)
	openMem(t, opened, small())
	if n := len(segments(opened)); n != 0 {
		t.Errorf("%d files are left after Open", n)
	}
	j.removeLeftovers()
	if n := len(segments(m)); n != 0 {
		t.Errorf("%d files are left", n)
	}
	put(t, j, []byte("x"))
}

// forge writes a later version into the header of a segment, or into the progress.
func forge(t *testing.T, m *vfs.Mem, name string) {
	t.Helper()
	f, err := m.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(name, suffix) {
		b := make([]byte, segment.HeaderSize)
		if _, err := f.ReadAt(b, 0); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint16(b[8:], segment.Version+1)
		binary.LittleEndian.PutUint16(b[10:], segment.Version+1)
		binary.LittleEndian.PutUint32(b[60:], segment.Checksum(0, b[:60]))
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		return
	}
	b := append(make([]byte, slotHead), stateVersion+1, 1, 2, 3)
	frame(b, 1<<40)
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// What a later version has written is not opened, and nothing is changed.
func TestLaterVersion(t *testing.T) {
	w := &world{}
	pristine, err := filled(w, 60, small())
	if err != nil {
		t.Fatal(err)
	}
	list, _ := pristine.List(".")
	for _, info := range list {
		if info.Name == "LOCK" {
			continue
		}
		m := image(pristine, vfs.KeepAll)
		forge(t, m, info.Name)
		changes := 0
		m.After(func(op vfs.Op) {
			if op.Kind.Changes() {
				changes++
			}
		})
		dir, unmount := mount(m)
		if _, err := Open(dir, small()); !errors.Is(err, segment.ErrVersion) || !strings.Contains(err.Error(), info.Name) {
			t.Errorf("open with %s of a later version: %v", info.Name, err)
		}
		unmount()
		if changes > 0 {
			t.Errorf("%d changes with %s of a later version", changes, info.Name)
		}
	}
}
