package journal

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// A cursor that keeps up gets records from memory without an operation on a file, and one
// that does not from the file; both get each record once and in order.
func TestReadFromMemory(t *testing.T) {
	m := vfs.NewMem(64 << 20)
	o := small()
	o.MaxBytes, o.SegmentBytes = 32<<20, 1<<20
	j := openMem(t, m, o)
	fast, slow := cursor(t, j, "fast", Oldest), cursor(t, j, "slow", Oldest)
	var reads atomic.Int64
	m.After(func(op vfs.Op) {
		if op.Kind == vfs.OpRead {
			reads.Add(1)
		}
	})
	const records = 300
	var sources []*numbered
	for i := range records {
		s := &numbered{number: i}
		sources = append(sources, s)
		b := make([]byte, 100_000)
		if _, err := j.Append(ctx, Record{Parts: [][]byte{b}, Source: s}); err != nil {
			t.Fatal(err)
		}
		e := next(t, fast)
		got, ok := fast.Source(e)
		if !ok || got != s {
			t.Fatalf("record %d is not in memory", i)
		}
		got.Release()
		fast.Ack(e)
	}
	if n := reads.Load(); n != 0 {
		t.Errorf("%d reads for records in memory", n)
	}
	inMemory := 0
	for i := range records {
		e := next(t, slow)
		if e.Sequence != uint64(i+1) {
			t.Fatalf("record %d, want %d", e.Sequence, i+1)
		}
		if s, ok := slow.Source(e); ok {
			inMemory++
			if s != sources[i] {
				t.Errorf("record %d has another's memory", i)
			}
			s.Release()
		}
		get(t, slow, e)
		slow.Ack(e)
	}
	if n := int64(inMemory); n == 0 || n*100_000 > DefaultRecentBytes {
		t.Errorf("%d of the records were in memory", n)
	}
	for i, s := range sources {
		if s.refs.Load() != 0 {
			t.Errorf("record %d has %d references when it is acknowledged", i, s.refs.Load())
		}
	}
}

// What is not read is not in memory for long.
func TestMemoryIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, unmount := mount(vfs.NewMem(capacity))
		defer unmount()
		o := small()
		o.SyncProgress = time.Second
		j, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		c := cursor(t, j, "a", Oldest)
		s := &numbered{}
		if _, err := j.Append(ctx, Record{Parts: [][]byte{{1}}, Source: s}); err != nil {
			t.Fatal(err)
		}
		if s.refs.Load() == 0 {
			t.Error("the record is not in memory")
		}
		time.Sleep(3 * time.Second)
		if s.refs.Load() != 0 {
			t.Error("the record is still in memory")
		}
		if e := next(t, c); string(get(t, c, e)) != "\x01" {
			t.Error("the record is altered")
		}
	})
}

// A state that is set without acknowledging anything survives the end of the process too.
func TestSettleWithoutEntries(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	put(t, j, []byte("payload"))
	for _, state := range []string{"one", "two"} {
		if err := c.Settle([]byte(state)); err != nil {
			t.Fatal(err)
		}
		again := openMem(t, image(m, vfs.KeepAll), small())
		if got := string(cursor(t, again, "a", Oldest).State()); got != state {
			t.Errorf("the state is %q, want %q", got, state)
		}
	}
}
