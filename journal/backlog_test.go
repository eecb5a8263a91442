package journal

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/journal/segment"
)

func lines(b []byte) iter.Seq[string] { return strings.SplitSeq(string(b), "\n") }

// backlog makes sealed segments of size bytes in dir, sparse, with a record each, and a
// cursor that has passed none of them.
func backlog(tb testing.TB, dir string, segments int, size int64) {
	j, err := Open(dir, Options{ReserveBytes: -1})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := j.Cursor("a", Oldest); err != nil {
		tb.Fatal(err)
	}
	if err := j.Close(); err != nil {
		tb.Fatal(err)
	}
	payload := []byte("payload")
	var totals segment.Totals
	for i := range uint64(segments) {
		s := &seg{number: 1 + i, id: newID(), first: 1 + i}
		r := segment.Record{Sequence: s.first, Stored: uint32(len(payload)), Length: uint32(len(payload)), CRC: segment.Checksum(0, payload), Units: 1, Before: totals}
		b := segment.Header{Number: s.number, ID: s.id, First: s.first, Created: time.Now().UnixNano()}.Append(nil)
		b = append(append(r.AppendHeader(b, s.id), payload...), segment.Padding(len(payload))...)
		totals = totals.Add(r)
		f, err := os.Create(filepath.Join(dir, segmentName(s.number, s.id)))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			tb.Fatal(err)
		}
		if _, err := f.WriteAt(segment.AppendSeal(nil, s.id, s.first+1, 0, totals), size-segment.SealSize); err != nil {
			tb.Fatal(err)
		}
		if err := f.Close(); err != nil {
			tb.Fatal(err)
		}
	}
}

// A backlog of 10 GiB is opened with memory that does not depend on it, and its
// segments are not read.
func TestOpenOfABacklog(t *testing.T) {
	dir := t.TempDir()
	const segments, size = 160, 64 << 20
	backlog(t, dir, segments, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	j, err := Open(dir, Options{MaxBytes: 20 << 30, ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	defer j.Close()
	c := cursor(t, j, "a", Oldest)
	if s, held := j.Stats(), c.Held(); s.Bytes != segments*size || s.ScannedSegments != 0 || held != (Held{segments, segments, 7 * segments}) {
		t.Errorf("%d bytes, %d segments scanned, %+v held", s.Bytes, s.ScannedSegments, held)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("%d bytes were allocated", allocated)
	}
	if e := next(t, c); string(get(t, c, e)) != "payload" {
		t.Error("the first record is altered")
	}
	if fmt.Sprint(j.Cursors()) != "[a]" {
		t.Errorf("cursors %v", j.Cursors())
	}
}
