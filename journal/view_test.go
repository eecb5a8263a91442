package journal

import (
	"errors"
	"slices"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// viewed reads all that a view has; damaged records are passed.
func viewed(t *testing.T, v *View) (entries []Entry) {
	t.Helper()
	for {
		e, ok, err := v.TryNext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return entries
		}
		if err := v.Read(ctx, e, make([]byte, e.PayloadBytes())); err == nil {
			entries = append(entries, e)
		} else if !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
	}
}

func withRecords(t *testing.T, n int) (m *vfs.Mem, j *Journal, c *Cursor) {
	t.Helper()
	m = vfs.NewMem(1 << 20)
	dir, unmount := mount(m)
	t.Cleanup(unmount)
	j, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	if c, err = j.Cursor("c", Oldest); err != nil {
		t.Fatal(err)
	}
	w := &world{}
	for range n {
		if err := w.append(j); err != nil {
			t.Fatal(err)
		}
	}
	return m, j, c
}

// A view reads what is not acknowledged, keeps its segments, and moves nothing.
func TestView(t *testing.T) {
	_, j, c := withRecords(t, 100)
	v := c.View()
	all := viewed(t, v)
	if len(all) != 100 || c.Held().Records != 100 {
		t.Fatalf("%d records, %d held", len(all), c.Held().Records)
	}
	v.Close()
	c.Ack(all[:50]...)
	v = c.View()
	c.Ack(all[50:]...)
	j.removePassed()
	if n := len(viewed(t, v)); n != 50 {
		t.Errorf("%d records, want the 50 that were there when the view was made", n)
	}
	v.Close()
	j.removePassed()
	if n := len(j.segments); n > 1 {
		t.Errorf("%d segments are left", n)
	}
	if names := j.Cursors(); !slices.Equal(names, []string{"c"}) {
		t.Errorf("cursors %q", names)
	}
	if e, ok, err := c.TryNext(ctx); ok || err != nil {
		t.Errorf("the cursor has %+v, %v", e, err)
	}
}

// What a view finds damaged is counted for the cursor, once, and holds nothing.
func TestViewOfDamage(t *testing.T) {
	m, _, c := withRecords(t, 100)
	list, err := m.List(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range list {
		if number, _, ok := parseName(info.Name); ok && number == 2 {
			file, err := m.Open(info.Name, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt([]byte("damage"), 1000); err != nil {
				t.Fatal(err)
			}
		}
	}
	var left int
	for range 2 {
		v := c.View()
		left = len(viewed(t, v))
		v.Close()
	}
	damaged, _ := c.Lost()
	if damaged.Records == 0 || left+int(damaged.Records) != 100 || c.Held().Records != uint64(left) {
		t.Errorf("%d records are left, %d are damaged, %d held", left, damaged.Records, c.Held().Records)
	}
}
