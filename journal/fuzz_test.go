package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

var update = flag.Bool("update", false, "write the golden files")

// goldenState has something of everything.
func goldenState() state {
	return state{nextNum: 7, next: 1000, atRisk: 3, totals: segment.Totals{Units: 20000, Bytes: 1 << 33}, cursors: []cursorState{
		{name: "a", marks: marks{low: 1000, base: segment.Totals{Units: 20000, Bytes: 1 << 33}}},
		{name: "traces/otlp", marks: marks{low: 10, base: segment.Totals{Units: 5, Bytes: 600}, gaps: []span{
			{12, 14, segment.Totals{Units: 7, Bytes: 700}, segment.Totals{Units: 9, Bytes: 900}},
			{20, 21, segment.Totals{Units: 30, Bytes: 1 << 20}, segment.Totals{Units: 31, Bytes: 1<<20 + 5}},
		}}, lost: Held{1, 2, 3}, dropped: Held{4, 5, 6}, state: []byte("in flight")},
	}}
}

// slot is a slot with a state.
func slot(s state, generation uint64) []byte {
	b := s.append(make([]byte, slotHead))
	frame(b, generation)
	return b
}

// The format of the progress, version 1, does not change.
func TestProgressFormat(t *testing.T) {
	b := slot(goldenState(), 42)
	golden := filepath.Join("testdata", "progress-v1.hex")
	if *update {
		if err := os.WriteFile(golden, []byte(hex.Dump(b)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.Dump(b); got != string(want) {
		t.Errorf("the format has changed; a new version is needed. Written now:\n%s", got)
	}
	s, generation, err := parseSlot(append(b, make([]byte, 100)...))
	if err != nil || generation != 42 || fmt.Sprint(s) != fmt.Sprint(goldenState()) {
		t.Errorf("read %+v, generation %d, %v", s, generation, err)
	}
	for i := range b {
		b[i] ^= 0x10
		if _, _, err := parseSlot(b); !errors.Is(err, segment.ErrCorrupt) {
			t.Fatalf("byte %d altered: %v", i, err)
		}
		b[i] ^= 0x10
	}
}

// FuzzParseSlot: what parses is written as it was read.
func FuzzParseSlot(f *testing.F) {
	f.Add(slot(goldenState(), 42))
	f.Add(slot(state{}, 0))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, generation, err := parseSlot(b)
		if err != nil {
			return
		}
		again, g, err := parseSlot(slot(s, generation))
		if err != nil || g != generation || fmt.Sprint(again) != fmt.Sprint(s) {
			t.Fatalf("read again: generation %d instead of %d, %v", g, generation, err)
		}
	})
}

// FuzzParseState: what parses has the same meaning when it was written again, and takes
// memory that is bounded by its length.
func FuzzParseState(f *testing.F) {
	f.Add(goldenState().append(nil))
	f.Add(state{}.append(nil))
	f.Add([]byte{1, 0, 0, 0, 0, 0, 200, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseState(b)
		n := len(s.cursors)
		for _, c := range s.cursors {
			n += len(c.name) + len(c.state) + 6*len(c.gaps)
		}
		if n > len(b) {
			t.Fatalf("%d things in %d bytes", n, len(b))
		}
		if err != nil {
			return
		}
		written := s.append(nil)
		if len(written) > len(b) { // numbers may be longer than they have to be, not shorter
			t.Fatalf("%d bytes became %d", len(b), len(written))
		}
		again, err := parseState(written)
		if err != nil || !bytes.Equal(again.append(nil), written) {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

// FuzzNames: names that parse are those that are made.
func FuzzNames(f *testing.F) {
	f.Add(segmentName(1, 2))
	f.Add(progressName(3))
	f.Add("0000000000000001-000000000000000A.seg")
	f.Add("progress-+000000000000001")
	f.Fuzz(func(t *testing.T, name string) {
		if number, id, ok := parseName(name); ok && segmentName(number, id) != name {
			t.Errorf("%q parsed as %d, %d", name, number, id)
		}
		if number, ok := parseProgressName(name); ok && progressName(number) != name {
			t.Errorf("%q parsed as %d", name, number)
		}
	})
}

// pristine is a journal whose files the fuzzer changes: some records acknowledged, one
// segment as a process that was killed leaves it.
var pristine = sync.OnceValues(func() (*world, *vfs.Mem) {
	w, m := &world{}, vfs.NewMem(16<<20)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		panic(err)
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	for i := 0; err == nil && i < 50; i++ {
		err = w.append(j)
	}
	for i := 0; err == nil && i < 10; i++ {
		var e Entry
		if e, _, err = c.TryNext(ctx); err == nil && i%3 > 0 {
			c.Ack(e)
			w.all()[e.Sequence-1].settled.Store(true)
		}
	}
	if err != nil {
		panic(err)
	}
	return w, image(m, vfs.KeepAll)
})

// opened is what a journal delivers after some damage, and what it says of it.
func opened(t *testing.T, w *world, m *vfs.Mem) (found []int, ok bool) {
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if errors.Is(err, segment.ErrVersion) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		t.Fatal(err)
	}
	for {
		e, some, err := c.TryNext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !some {
			return found, true
		}
		n, err := read(c, e)
		if err == nil {
			found = append(found, n)
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	}
}

// FuzzFolder overwrites a part of a file of a journal, cuts it off or removes it. Open
// does not fail, what is delivered is unaltered and in order, and opened again it is the
// same.
func FuzzFolder(f *testing.F) {
	f.Add(uint8(0), uint32(70), []byte{1}, uint8(0))
	f.Add(uint8(1), uint32(100), []byte("PSR1"), uint8(1))
	f.Add(uint8(2), uint32(0), []byte{0, 0, 0, 0}, uint8(2))
	f.Add(uint8(9), uint32(20), slot(state{next: 1, nextNum: 1}, 1<<50), uint8(0))
	f.Fuzz(func(t *testing.T, which uint8, off uint32, content []byte, how uint8) {
		w, m := pristine()
		m = image(m, vfs.KeepAll)
		list, err := m.List(".")
		if err != nil {
			t.Fatal(err)
		}
		list = slices.DeleteFunc(list, func(i vfs.Info) bool { return i.Name == "LOCK" })
		info := list[int(which)%len(list)]
		if strings.HasPrefix(info.Name, progressPrefix) && validSlots(content) {
			return // the fuzzer has made one with a checksum: it means what it says
		}
		file, err := m.Open(info.Name, true)
		if err != nil {
			t.Fatal(err)
		}
		at := int64(off) % info.Size
		switch how % 4 {
		case 0:
			_, err = file.WriteAt(content[:min(int64(len(content)), info.Size-at)], at)
		case 1:
			err = file.Truncate(at)
		case 2:
			err = m.Remove(info.Name)
		case 3:
			_, err = file.WriteAt(content, info.Size)
		}
		if err != nil {
			t.Fatal(err)
		}
		dir, unmount := mount(m)
		v, verifyErr := Verify(ctx, dir, nil)
		_, inspectErr := Inspect(dir)
		unmount()
		found, ok := opened(t, w, m)
		if !ok {
			return
		}
		if verifyErr != nil || inspectErr != nil {
			t.Fatalf("verify: %v; inspect: %v", verifyErr, inspectErr)
		}
		if missing := len(w.must()) - len(found); len(v.Damage) == 0 && missing > 1 { // the last one can be of a write that was cut short
			t.Fatalf("%d records are missing, and Verify has found no damage", missing)
		}
		if err := w.compare(nil, found); err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(found) {
			t.Fatalf("not in order: %v", found)
		}
		again, _ := opened(t, w, m)
		if !slices.Equal(found, again) {
			t.Fatalf("opened again: %d records, and %d before", len(again), len(found))
		}
	})
}

// validSlots reports whether there is a slot with a checksum that is right.
func validSlots(b []byte) bool {
	for ; len(b) >= slotHead; b = b[1:] {
		if _, _, err := parseSlot(b); !errors.Is(err, segment.ErrCorrupt) || err == nil {
			return true
		}
	}
	return false
}

// Every bit of the progress flipped: everything that is not acknowledged is delivered,
// and nothing that is altered.
func TestFlippedProgress(t *testing.T) {
	w, m := &world{}, vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	for range 20 {
		if err := w.append(j); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 12 {
		if e := next(t, c); i%3 > 0 {
			c.Ack(e)
			w.all()[e.Sequence-1].settled.Store(true)
		}
	}
	if err := j.saveProgress(true); err != nil {
		t.Fatal(err)
	}
	pristine := image(m, vfs.KeepAll)
	for at := int64(0); at < slots*small().slot; at++ {
		if at%small().slot == 150 {
			at += small().slot - 150 // beyond the body
		}
		for bit := range 8 {
			m := image(pristine, vfs.KeepAll)
			f, err := m.Open(progressName(1), true)
			if err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1)
			if _, err := f.ReadAt(b, at); err != nil {
				break // the end
			}
			b[0] ^= 1 << bit
			if _, err := f.WriteAt(b, at); err != nil {
				t.Fatal(err)
			}
			found, ok := opened(t, w, m)
			if !ok {
				t.Fatalf("bit %d of byte %d: not opened", bit, at)
			}
			if err := w.compare(w.must(), found); err != nil {
				t.Fatalf("bit %d of byte %d: %v", bit, at, err)
			}
		}
	}
}
