package journal

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// tree is the content of a folder.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		m[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func inspect(t *testing.T, dir string) Report {
	t.Helper()
	r, err := Inspect(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func verifyFolder(t *testing.T, dir string) Verification {
	t.Helper()
	v, err := Verify(ctx, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Inspect and Verify of a journal that is open report what is there, and change nothing.
func TestInspect(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{ReserveBytes: -1, MaxBytes: 1 << 20, SegmentBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	a, b := cursor(t, j, "a", Oldest), cursor(t, j, "b", Oldest)
	for range 20 {
		put(t, j, make([]byte, 1000))
	}
	for i := range 5 {
		if e := next(t, a); i != 2 {
			a.Ack(e)
		}
	}
	if err := b.SetState([]byte("state"), true); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	r := inspect(t, dir)
	want := []CursorReport{
		{Name: "a", Mark: 3, Acknowledged: []Range{{4, 5}}, Held: Held{16, 16, 16000}},
		{Name: "b", Mark: 1, Acknowledged: []Range{}, Held: Held{20, 20, 20000}, StateBytes: 5},
	}
	if !reflect.DeepEqual(r.Cursors, want) {
		t.Errorf("cursors %+v, want %+v", r.Cursors, want)
	}
	if r.Folder != dir || r.Next != 21 || r.Stored != (Held{20, 20, 20000}) || len(r.Segments) != 3 || r.Bytes != j.Stats().Bytes || len(r.Damage) != 0 {
		t.Errorf("%+v", r)
	}
	for i, s := range r.Segments {
		if sealed := i < 2; s.Sealed != sealed || s.Damaged || s.First == 0 || s.Stored.Records != s.Last-s.First+1 || s.Created.IsZero() {
			t.Errorf("segment %+v", s)
		}
	}
	v := verifyFolder(t, dir)
	if v.Records != 20 || v.Segments != 3 || v.Bytes != r.Bytes || v.TornBytes != 0 || len(v.Damage) != 0 {
		t.Errorf("%+v", v)
	}
	if !reflect.DeepEqual(tree(t, dir), before) {
		t.Error("the folder was changed")
	}
}

func TestInspectNothing(t *testing.T) {
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := Inspect(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("inspect: %v", err)
		}
		if _, err := Verify(ctx, dir, nil); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("verify: %v", err)
		}
	}
	if len(tree(t, dir)) > 0 {
		t.Error("something was created")
	}
}

// Verify names each place that is damaged, and what is lost by it.
func TestVerifyDamage(t *testing.T) {
	w := &world{}
	pristine, err := filled(w, 60, small())
	if err != nil {
		t.Fatal(err)
	}
	list := segments(pristine)
	damages := map[string]func(t *testing.T, m *vfs.Mem){
		"the records are damaged": func(t *testing.T, m *vfs.Mem) {
			damage(t, m, list[1].Name, segment.HeaderSize+segment.RecordHeaderSize, 1)
		},
		"the header is damaged":       func(t *testing.T, m *vfs.Mem) { damage(t, m, list[1].Name, 20, 1) },
		"the records are in no file":  func(t *testing.T, m *vfs.Mem) { check(t, m.Remove(list[1].Name)) },
		"no state of the progress":    func(t *testing.T, m *vfs.Mem) { damage(t, m, progressName(1), 0, slots*(4<<10)) },
		"the records are in no file ": func(t *testing.T, m *vfs.Mem) { check(t, m.Remove(list[0].Name)) },
	}
	for reason, do := range damages {
		t.Run(reason, func(t *testing.T) {
			m := image(pristine, vfs.KeepAll)
			do(t, m)
			dir, unmount := mount(m)
			defer unmount()
			v := verifyFolder(t, dir)
			if len(v.Damage) != 1 || !strings.HasPrefix(v.Damage[0].Reason, strings.TrimSpace(reason)) {
				t.Fatalf("damage %+v", v.Damage)
			}
			if d := v.Damage[0]; strings.HasPrefix(reason, "the records") {
				if lost := d.Last - d.First + 1; lost+v.Records != 60 {
					t.Errorf("%d records, and %d lost", v.Records, lost)
				}
			} else if d.File == "" || v.Records != 60 {
				t.Errorf("%d records, damage %+v", v.Records, d)
			}
		})
	}
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(errEnded)
	dir, unmount := mount(pristine)
	defer unmount()
	if _, err := Verify(cancelled, dir, nil); !errors.Is(err, errEnded) {
		t.Errorf("cancelled: %v", err)
	}
	reached := int64(0)
	if _, err := Verify(ctx, dir, func(done, all int64) {
		if done < reached || done > all {
			t.Errorf("%d of %d bytes", done, all)
		}
		reached = done
	}); err != nil || reached == 0 {
		t.Errorf("%d bytes, %v", reached, err)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// While records are appended, acknowledged and removed, nothing looks damaged.
func TestVerifyWhileWritten(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{ReserveBytes: -1, MaxBytes: 4 << 20, SegmentBytes: 32 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c := cursor(t, j, "a", Oldest)
	looked := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-looked:
					return
				default:
				}
				if _, err := j.Append(ctx, Record{Parts: [][]byte{random(i % 5000)}}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for {
			select {
			case <-looked:
				return
			default:
			}
			if c.Held().Records < 20 {
				continue
			}
			e, err := c.Next(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			c.Ack(e)
		}
	})
	for range 100 {
		if r, err := Inspect(dir); err != nil || len(r.Damage) > 0 || len(r.Cursors) != 1 || r.Cursors[0].Damaged != (Held{}) {
			t.Errorf("inspect: %+v, %v", r.Damage, err)
			break
		}
		if v, err := Verify(ctx, dir, nil); err != nil || len(v.Damage) > 0 {
			t.Errorf("verify: %+v, %v", v.Damage, err)
			break
		}
	}
	close(looked)
	wg.Wait()
}
