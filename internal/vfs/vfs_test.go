package vfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// both runs a test on the operating system and on both folders in memory: they are the
// same to a program.
func both(t *testing.T, f func(t *testing.T, fsys FS)) {
	t.Run("os", func(t *testing.T) {
		fsys, err := At(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer fsys.Close()
		f(t, fsys)
	})
	t.Run("mem", func(t *testing.T) { f(t, NewMem(1<<20)) })
	t.Run("memory", func(t *testing.T) { f(t, NewMemory()) })
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// content is what a file has, or nil if it is not there.
func content(t *testing.T, fsys FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	check(t, err)
	defer f.Close()
	b := make([]byte, must(f.Size())(t))
	if _, err := f.ReadAt(b, 0); len(b) > 0 && err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFiles(t *testing.T) {
	both(t, func(t *testing.T, fsys FS) {
		f := must(fsys.Create("a"))(t)
		check(t, f.Preallocate(10000))
		must(f.WriteAt([]byte("hello"), 9990))(t)
		if size := must(f.Size())(t); size != 10000 {
			t.Errorf("size %d after Preallocate, want 10000", size)
		}
		check(t, f.Sync(), fsys.SyncDir("."), f.Truncate(9993), f.Preallocate(9995), f.Close())
		if got, want := content(t, fsys, "a"), append(make([]byte, 9990), "hel\x00\x00"...); !bytes.Equal(got, want) {
			t.Errorf("the end is %q, want %q", got[9985:], want[9985:])
		}
		if _, err := fsys.Create("a"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("creating a file that exists: %v", err)
		}
		if _, err := fsys.Open("b", true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening a file that does not: %v", err)
		}
		check(t, fsys.Mkdir("d"), fsys.Mkdir("d"), fsys.Rename("a", "d/b"))
		f = must(fsys.Create("c"))(t)
		check(t, f.Close())
		if err := fsys.Rename("c", "d/b"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("renaming onto a file: %v", err)
		}
		if got, want := must(fsys.List("."))(t), []Info{{"c", 0}}; !reflect.DeepEqual(got, want) {
			t.Errorf("the folder has %v, want %v", got, want)
		}
		if got, want := must(fsys.List("d"))(t), []Info{{"b", 9995}}; !reflect.DeepEqual(got, want) {
			t.Errorf("the folder d has %v, want %v", got, want)
		}
		check(t, fsys.Remove("c"))
		if err := fsys.Remove("c"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("removing twice: %v", err)
		}
		r := must(fsys.Open("d/b", false))(t)
		if _, err := r.WriteAt([]byte("x"), 0); err == nil {
			t.Error("writing to a file that was opened for reading succeeded")
		}
		check(t, r.Close())
		if free, total, err := fsys.Space(); free <= 0 || total < free || err != nil {
			t.Errorf("%d bytes are free of %d, %v", free, total, err)
		}
	})
}

func TestLock(t *testing.T) {
	both(t, func(t *testing.T, fsys FS) {
		l := must(fsys.Lock("LOCK"))(t)
		if _, err := fsys.Lock("LOCK"); !errors.Is(err, ErrLocked) {
			t.Errorf("a second lock: %v", err)
		}
		check(t, l.Close())
		check(t, must(fsys.Lock("LOCK"))(t).Close())
	})
}

func TestNamesStayInside(t *testing.T) {
	fsys, err := At(t.TempDir())
	check(t, err)
	defer fsys.Close()
	if f, err := fsys.Create("../x"); err == nil {
		f.Close()
		t.Error("a file was created outside of the folder")
	}
}

func TestMount(t *testing.T) {
	m := NewMem(0)
	unmount := Mount("some/where", m)
	if got := must(At("some/../some/where"))(t); got != FS(m) {
		t.Errorf("At returned %T", got)
	}
	unmount()
	if _, err := At("some/where"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after unmount: %v", err)
	}
}

// images crashes many times and returns what a file was found to be.
func images(m *Mem, mode Mode, name string) (found map[string]bool) {
	found = map[string]bool{}
	for seed := range uint64(200) {
		image := m.Crash(mode, rand.New(rand.NewPCG(seed, 0)))
		b := "(none)"
		if n := image.files[name]; n != nil {
			b = string(n.data)
		}
		found[b] = true
	}
	return found
}

// Each mode keeps what was synced, and of the rest what it says.
func TestCrash(t *testing.T) {
	a, b, zero := strings.Repeat("a", sectorSize), strings.Repeat("b", sectorSize), strings.Repeat("\x00", sectorSize)
	m := NewMem(1 << 20)
	f := must(m.Create("f"))(t)
	must(f.WriteAt([]byte(a), 0))(t)
	check(t, f.Sync())
	for mode := DropAll; mode < Modes; mode++ { // a sync of the file is not one of the entry
		if got, some := images(m, mode, "f"), mode != KeepLengths; got["(none)"] != some {
			t.Errorf("%v: found the file missing: %v, want %v", mode, got["(none)"], some)
		}
	}
	check(t, m.SyncDir("."))
	must(f.WriteAt([]byte(b+b), 0))(t)
	for mode, want := range map[Mode][]string{
		KeepAll:     {b + b},
		DropAll:     {a},
		KeepFirst:   {a, a + zero, b, b + b, b + zero},
		KeepSome:    {a, a + b, a + zero, b, b + b, b + zero},
		KeepLengths: {a + zero, b + zero},
	} {
		got := images(m, mode, "f")
		for g := range got {
			if !slices.Contains(want, g) {
				t.Errorf("%v: found %.3q… of %d bytes", mode, g, len(g))
			}
		}
		if len(got) != len(want) {
			t.Errorf("%v: found %d contents, want %d", mode, len(got), len(want))
		}
	}
	torn := images(m, Tear, "f")
	if len(torn) < 50 {
		t.Errorf("tear: found %d contents", len(torn))
	}
	check(t, f.Sync())
	for mode := range Modes {
		if got := images(m, mode, "f"); len(got) != 1 || !got[b+b] {
			t.Errorf("%v: %d contents after Sync", mode, len(got))
		}
	}
}

// A rename is atomic; a removal comes back unless the folder was synced.
func TestCrashOfEntries(t *testing.T) {
	m := NewMem(1 << 20)
	f := must(m.Create("old"))(t)
	must(f.WriteAt([]byte("x"), 0))(t)
	check(t, f.Sync(), m.SyncDir("."), m.Rename("old", "new"))
	seen := map[string]bool{}
	for mode := range Modes {
		for seed := range uint64(20) {
			list := must(m.Crash(mode, rand.New(rand.NewPCG(seed, 0))).List("."))(t)
			seen[fmt.Sprint(list)] = true
		}
	}
	if want := map[string]bool{"[{new 1}]": true, "[{old 1}]": true}; !reflect.DeepEqual(seen, want) {
		t.Errorf("found %v, want %v", seen, want)
	}
	check(t, m.SyncDir("."), m.Remove("new"))
	if got := images(m, KeepSome, "new"); len(got) != 2 {
		t.Errorf("after a removal: %v", got)
	}
	check(t, m.SyncDir("."))
	if got := images(m, KeepSome, "new"); len(got) != 1 || !got["(none)"] {
		t.Errorf("after the folder was synced: %v", got)
	}
}

// After a sync that failed, a sync that succeeds proves nothing.
func TestSyncThatFails(t *testing.T) {
	m := NewMem(1 << 20)
	f := must(m.Create("f"))(t)
	check(t, m.SyncDir("."))
	must(f.WriteAt([]byte("a"), 0))(t)
	m.Inject(func(o Op) error {
		if o.Kind == OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Sync: %v", err)
	}
	m.Inject(nil)
	check(t, f.Sync())
	if got := content(t, m, "f"); string(got) != "a" {
		t.Errorf("it reads as %q", got)
	}
	if got := images(m, DropAll, "f"); !got["\x00"] {
		t.Errorf("after a crash: %v", got)
	}
}

func TestShortWriteAndFullDisk(t *testing.T) {
	m := NewMem(2 * pageSize)
	f := must(m.Create("f"))(t)
	m.Inject(func(o Op) error { return Short{syscall.EIO} })
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 2 || !errors.Is(err, syscall.EIO) {
		t.Errorf("short write: %d, %v", n, err)
	}
	m.Inject(nil)
	if n, err := f.WriteAt(make([]byte, 3*pageSize), 0); n != 2*pageSize || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write beyond the room: %d, %v", n, err)
	}
	g := must(m.Create("g"))(t)
	if err := g.Preallocate(1); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Preallocate on a full disk: %v", err)
	}
	check(t, f.Truncate(1), g.Preallocate(pageSize))
	if free, _, err := m.Space(); free != 0 || err != nil {
		t.Errorf("%d bytes free", free)
	}
	check(t, m.Remove("g"))
	if free, _, err := m.Space(); free != pageSize || err != nil {
		t.Errorf("%d bytes free after Remove", free)
	}
}

// Parts are written one behind the other, more of them too than a system takes at once.
func TestWriteParts(t *testing.T) {
	both(t, func(t *testing.T, fsys FS) {
		f := must(fsys.Create("f"))(t)
		var parts [][]byte
		var want []byte
		for i := range 3000 {
			part := bytes.Repeat([]byte{byte(i)}, i%50)
			parts, want = append(parts, part), append(want, part...)
		}
		check(t, WritePartsAt(f, parts, 7))
		got := make([]byte, len(want))
		if _, err := f.ReadAt(got, 7); err != nil || !bytes.Equal(got, want) {
			t.Errorf("other content was read, %v", err)
		}
		if len(parts[49]) != 49 {
			t.Error("the parts were changed")
		}
		check(t, f.Close())
		r := must(fsys.Open("f", false))(t)
		if err := WritePartsAt(r, parts, 0); err == nil {
			t.Error("writing to a file that was opened for reading succeeded")
		}
		check(t, r.Close())
	})
}

// A Memory takes memory for what was written alone, in chunks, and is equal to a slice of
// bytes whatever is written where.
func TestMemoryContent(t *testing.T) {
	m, r := NewMemory(), rand.New(rand.NewPCG(1, 2))
	f := must(m.Create("a"))(t)
	check(t, f.Preallocate(10<<20))
	for _, c := range f.(memoryFile).all {
		if c != nil {
			t.Fatal("memory is taken for what was not written")
		}
	}
	want := make([]byte, 10<<20)
	for range 300 {
		off := r.IntN(12 << 20)
		if r.IntN(10) == 0 {
			check(t, f.Truncate(int64(off)))
			want = resized(want, off)
			continue
		}
		b := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, 1+r.IntN(3*chunkSize))
		must(f.WriteAt(b, int64(off)))(t)
		want = resized(want, max(len(want), off+len(b)))
		copy(want[off:], b)
	}
	if !bytes.Equal(content(t, m, "a"), want) {
		t.Error("the file has other bytes than were written")
	}
}
