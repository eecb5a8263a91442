package delivery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal"
	"github.com/penstock-telemetry/penstock/pipeline"
)

func openLetters(t *testing.T, dir string) *DeadLetters {
	t.Helper()
	d, err := OpenDeadLetters(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// add adds letters whose records are these texts.
func (d *DeadLetters) add(t *testing.T, records ...string) {
	t.Helper()
	for _, r := range records {
		err := &pipeline.Error{Kind: pipeline.Permanent, Code: uint32(codes.InvalidArgument), Err: errors.New("no " + r)}
		if err := d.Add(t.Context(), DeadLetter{Destination: "logs/otlp", Record: []byte(r), Items: uint64(len(r)), Err: err}); err != nil {
			t.Fatal(err)
		}
	}
}

func (d *DeadLetters) records(t *testing.T) (records []string, sequences []uint64) {
	t.Helper()
	err := d.List(t.Context(), func(l StoredLetter) bool {
		records, sequences = append(records, string(l.Record)), append(sequences, l.Sequence)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return records, sequences
}

func (d *DeadLetters) want(t *testing.T, want ...string) {
	t.Helper()
	if got, _ := d.records(t); !slices.Equal(got, want) {
		t.Errorf("letters %q, want %q", got, want)
	}
	if n := d.Held().Records; n != uint64(len(want)) {
		t.Errorf("%d are held, want %d", n, len(want))
	}
}

// What is dropped is gone, after a power cut too, and the rest is there.
func TestDropDeadLetters(t *testing.T) {
	m := vfs.NewMem(512 << 20)
	d := openLetters(t, disk(t, m))
	d.add(t, "one", "two", "three", "four")
	d.want(t, "one", "two", "three", "four")
	_, sequences := d.records(t)
	if err := d.Drop(t.Context(), sequences[1], sequences[2]); err != nil {
		t.Fatal(err)
	}
	d.want(t, "one", "four")
	cut := openLetters(t, disk(t, m.Crash(vfs.DropAll, nil)))
	cut.want(t, "one", "four")
	if n, err := cut.DropAll(t.Context()); n != 2 || err != nil {
		t.Errorf("dropped %d, %v", n, err)
	}
	cut.want(t)
	cut.add(t, "five")
	cut.want(t, "five")
}

// A letter that is not there is an error, and nothing else is dropped then.
func TestDropNoLetter(t *testing.T) {
	d := openLetters(t, disk(t, vfs.NewMem(512<<20)))
	d.add(t, "one", "two")
	_, sequences := d.records(t)
	for _, s := range []uint64{0, 99} {
		if err := d.Drop(t.Context(), sequences[0], s); !errors.Is(err, ErrNoLetter) {
			t.Errorf("drop %d: %v", s, err)
		}
		if _, err := d.Get(t.Context(), s); !errors.Is(err, ErrNoLetter) {
			t.Errorf("get %d: %v", s, err)
		}
	}
	d.want(t, "one", "two")
}

func TestGetDeadLetter(t *testing.T) {
	d := openLetters(t, disk(t, vfs.NewMem(512<<20)))
	d.add(t, "one", "two")
	_, sequences := d.records(t)
	l, err := d.Get(t.Context(), sequences[1])
	if err != nil || l.Sequence != sequences[1] || string(l.Record) != "two" || l.Items != 3 || l.Destination != "logs/otlp" ||
		!strings.Contains(l.Reason, "no two") || codes.Code(l.Code) != codes.InvalidArgument || l.Time.IsZero() {
		t.Errorf("%+v, %v", l, err)
	}
	if err := d.Drop(t.Context(), sequences[1]); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Get(t.Context(), sequences[1]); !errors.Is(err, ErrNoLetter) {
		t.Errorf("after Drop: %v", err)
	}
}

// More letters can be dropped out of order than a cursor that is read could have gaps.
func TestDropEverySecond(t *testing.T) {
	m := vfs.NewMem(512 << 20)
	d := openLetters(t, disk(t, m))
	var drop []uint64
	for i := range 700 {
		d.add(t, fmt.Sprint(i))
	}
	_, sequences := d.records(t)
	for i, s := range sequences {
		if i%2 == 1 {
			drop = append(drop, s)
		}
	}
	if err := d.Drop(t.Context(), drop...); err != nil {
		t.Fatal(err)
	}
	for _, d := range []*DeadLetters{d, openLetters(t, disk(t, m.Crash(vfs.DropAll, nil)))} {
		if got, _ := d.records(t); len(got) != 350 || got[349] != "698" {
			t.Errorf("%d letters are left", len(got))
		}
	}
}

// To list leaves nothing behind that keeps letters on the disk: no cursor, also not when
// the process ends in the middle.
func TestListLeavesNothing(t *testing.T) {
	m := vfs.NewMem(512 << 20)
	d := openLetters(t, disk(t, m))
	d.add(t, "one", "two")
	err := d.List(t.Context(), func(StoredLetter) bool {
		if names := openLetters(t, disk(t, m.Crash(vfs.DropAll, nil))).journal.Cursors(); !slices.Equal(names, []string{deadReader}) {
			t.Errorf("cursors after a crash in List: %q", names)
		}
		return false
	})
	if err != nil {
		t.Fatal(err)
	}
	if names := d.journal.Cursors(); !slices.Equal(names, []string{deadReader}) {
		t.Errorf("cursors after List: %q", names)
	}
}

// A letter that is dropped while it is listed can still be read, also when its segment
// would be removed.
func TestDropWhileListing(t *testing.T) {
	d := openLetters(t, disk(t, vfs.NewMem(512<<20)))
	large := strings.Repeat("x", 1<<20)
	for range 12 {
		d.add(t, large)
	}
	seen := 0
	err := d.List(t.Context(), func(l StoredLetter) bool {
		if seen == 0 {
			if _, err := d.DropAll(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if len(l.Record) != len(large) {
			t.Errorf("letter %d has %d bytes", seen, len(l.Record))
		}
		seen++
		return true
	})
	if err != nil || seen != 12 {
		t.Errorf("%d letters, %v", seen, err)
	}
	d.want(t)
}

// A letter of a version that is not known can be seen and dropped.
func TestDeadLetterOfALaterVersion(t *testing.T) {
	d := openLetters(t, disk(t, vfs.NewMem(512<<20)))
	if _, err := d.journal.Append(context.Background(), journal.Record{Parts: [][]byte{{99, 1, 2}}, Units: 5}); err != nil {
		t.Fatal(err)
	}
	d.add(t, "one")
	d.want(t, "", "one")
	_, sequences := d.records(t)
	l, err := d.Get(t.Context(), sequences[0])
	if err != nil || l.Items != 5 || !strings.Contains(l.Reason, "expected version 1") {
		t.Errorf("%+v, %v", l, err)
	}
	if err := d.Drop(t.Context(), sequences[0]); err != nil {
		t.Fatal(err)
	}
	d.want(t, "one")
}

// A long reason is cut at the border of a character.
func TestLongReason(t *testing.T) {
	d := openLetters(t, disk(t, vfs.NewMem(512<<20)))
	reason := "x" + strings.Repeat("é", maxReason)
	if err := d.Add(t.Context(), DeadLetter{Err: errors.New(reason)}); err != nil {
		t.Fatal(err)
	}
	_ = d.List(t.Context(), func(l StoredLetter) bool {
		if len(l.Reason) < maxReason-2 || len(l.Reason) > maxReason || !utf8.ValidString(l.Reason) {
			t.Errorf("the reason has %d bytes, valid: %t", len(l.Reason), utf8.ValidString(l.Reason))
		}
		return true
	})
}

// What is read as a dead letter is written and read again as the same.
func FuzzParseDead(f *testing.F) {
	l := StoredLetter{Destination: "logs/otlp", Reason: "no", Code: 3, Time: time.Unix(0, 1700000000123456789).UTC(), Record: []byte("record")}
	f.Add(append(l.header(), l.Record...))
	f.Add([]byte{deadVersion})
	f.Add([]byte{deadVersion, 0x21, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		first, err := parseDead(b)
		if err != nil {
			return
		}
		again, err := parseDead(append(first.header(), first.Record...))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Record, again.Record) {
			t.Errorf("records of %d and %d bytes", len(first.Record), len(again.Record))
		}
		first.Record, again.Record = nil, nil
		if fmt.Sprintf("%+v", first) != fmt.Sprintf("%+v", again) || !first.Time.Equal(again.Time) {
			t.Errorf("read %+v, then %+v", first, again)
		}
	})
}
