package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// random is content that does not compress.
func random(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 3))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// get reads a record.
func get(t *testing.T, c *Cursor, e Entry) []byte {
	t.Helper()
	b := make([]byte, e.PayloadBytes())
	if err := c.Read(ctx, e, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// What is dropped is counted for each cursor by what it had not acknowledged, and the
// count survives.
func TestDropOldest(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.WhenFull, o.MaxBytes, o.SegmentBytes = DropOldest, 32<<10, 4<<10
	j := openMem(t, m, o)
	a, b := cursor(t, j, "a", Oldest), cursor(t, j, "b", Oldest)
	const records = 200
	for range records {
		put(t, j, make([]byte, 1000))
		e, ok, err := a.TryNext(ctx) // a acknowledges all but each tenth
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		if e.Sequence%10 > 0 {
			a.Ack(e)
		}
	}
	check := func(c *Cursor, acknowledged uint64) {
		t.Helper()
		damaged, dropped := c.Lost()
		held := c.Held()
		if damaged != (Held{}) || dropped.Records == 0 || held.Records == 0 {
			t.Errorf("cursor %s: %+v damaged, %+v dropped, %+v held", c.Name(), damaged, dropped, held)
		}
		if sum := held.plus(dropped); sum != (Held{records - acknowledged, records - acknowledged, 1000 * (records - acknowledged)}) {
			t.Errorf("cursor %s: %+v dropped and %+v held; %d acknowledged of %d", c.Name(), dropped, held, acknowledged, records)
		}
	}
	check(a, records*9/10)
	check(b, 0)
	if used := j.Stats().Bytes; used > o.MaxBytes {
		t.Errorf("%d bytes are used, at most %d", used, o.MaxBytes)
	}
	found, err := drainAny(b)
	if err != nil || len(found) == 0 || found[len(found)-1] != records || int(found[len(found)-1]-found[0]) != len(found)-1 {
		t.Errorf("found %d records, %v", len(found), err)
	}
	for _, mode := range []vfs.Mode{vfs.KeepAll, vfs.DropAll} {
		again := openMem(t, image(m, mode), o)
		_, dropped := cursor(t, again, "b", Oldest).Lost()
		if _, before := b.Lost(); dropped != before {
			t.Errorf("%v: %+v dropped, before %+v", mode, dropped, before)
		}
	}
}

// A record that was handed out and then dropped is not read.
func TestReadOfDropped(t *testing.T) {
	m := vfs.NewMem(capacity)
	j := openMem(t, m, small())
	c := cursor(t, j, "a", Oldest)
	for range 20 {
		put(t, j, make([]byte, 1000))
	}
	e := next(t, c)
	if dropped, err := j.dropFirst("a test"); !dropped || err != nil {
		t.Fatal(dropped, err)
	}
	if err := c.Read(ctx, e, make([]byte, e.PayloadBytes())); !errors.Is(err, ErrDropped) {
		t.Errorf("read: %v", err)
	}
	c.Ack(e)
	if _, dropped := c.Lost(); c.Held().Records+dropped.Records != 20 {
		t.Errorf("%+v held, %+v dropped", c.Held(), dropped)
	}
}

// Segments go when the next one is older than MaxAge, and are counted.
func TestMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small()
		o.MaxAge, o.SyncProgress = time.Hour, time.Second
		dir, unmount := mount(vfs.NewMem(capacity))
		defer unmount()
		j, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		c := cursor(t, j, "a", Oldest)
		for range 60 {
			put(t, j, make([]byte, 1000))
			time.Sleep(time.Minute)
		}
		if n := c.Held().Records; n != 60 {
			t.Fatalf("%d records held, want 60", n)
		}
		time.Sleep(30 * time.Minute)
		_, dropped := c.Lost()
		if held := c.Held(); held.Records >= 40 || held.Records < 30 || held.Records+dropped.Records != 60 {
			t.Errorf("after half an hour: %+v held, %+v dropped", held, dropped)
		}
		time.Sleep(2 * time.Hour)
		if held := c.Held(); held.Records == 0 || held.Records > 7 {
			t.Errorf("after hours: %+v held, want those of the newest segment", held)
		}
		if found, err := drainAny(c); err != nil || found[len(found)-1] != 60 {
			t.Errorf("found %v, %v", found, err)
		}
	})
}

// Damaged segments are kept as they are, up to a bound.
func TestQuarantine(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.QuarantineBytes = 20 << 10 // two segments
	j := openMem(t, m, o)
	c := cursor(t, j, "a", Oldest)
	w := &world{}
	for range 150 {
		if err := w.append(j); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string][]byte{}
	for _, info := range segments(m)[:5] {
		damage(t, m, info.Name, segment.HeaderSize+segment.RecordHeaderSize+1, 1)
		want[info.Name] = fileContent(t, m, info.Name)
	}
	found, err := salvage(c)
	if damaged, _ := c.Lost(); err != nil || len(found) != 145 || damaged.Records != 5 {
		t.Errorf("%d records found, %+v damaged, %v", len(found), damaged, err)
	}
	j.removePassed()
	kept, err := m.List("quarantine")
	if err != nil || len(kept) == 0 {
		t.Fatalf("quarantine: %v, %v", kept, err)
	}
	total := int64(0)
	for _, info := range kept {
		total += info.Size
		if !bytes.Equal(fileContent(t, m, "quarantine/"+info.Name), want[info.Name]) {
			t.Errorf("%s is not what it was", info.Name)
		}
	}
	if total > o.QuarantineBytes {
		t.Errorf("%d bytes, at most %d", total, o.QuarantineBytes)
	}
	if s := j.Stats(); s.Quarantined != 5 {
		t.Errorf("%d segments in the quarantine", s.Quarantined)
	}
	again := openMem(t, image(m, vfs.DropAll), o)
	if damaged, _ := cursor(t, again, "a", Oldest).Lost(); damaged.Records != 5 {
		t.Errorf("after a restart: %+v damaged", damaged)
	}
}

func fileContent(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// Compressed records are smaller on the disk, are read as they were, and say that they
// are damaged.
func TestCompress(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.Compress, o.SegmentBytes = true, 32<<10
	j := openMem(t, m, o)
	c := cursor(t, j, "a", Oldest)
	payloads := [][]byte{bytes.Repeat([]byte("telemetry "), 10000), random(5000), nil, []byte("small"), bytes.Repeat([]byte{0}, 300)}
	for _, p := range payloads {
		put(t, j, p)
	}
	var entries []Entry
	for i, p := range payloads {
		e := next(t, c)
		if got := get(t, c, e); !bytes.Equal(got, p) {
			t.Errorf("record %d: read %d bytes, want %d", i, len(got), len(p))
		}
		if compressed := i == 0 || i == 4; compressed != (e.Codec == segment.Zstd) || compressed && e.Stored > e.Length/4 {
			t.Errorf("record %d: %d of %d bytes, codec %d", i, e.Stored, e.Length, e.Codec)
		}
		entries = append(entries, e)
	}
	if held := c.Held(); held.Bytes >= 6000 {
		t.Errorf("%+v held", held)
	}
	damage(t, m, entries[0].seg.name, entries[0].offset+segment.RecordHeaderSize+20, 1)
	if err := c.Read(ctx, entries[0], make([]byte, entries[0].Length)); !errors.Is(err, ErrDamaged) {
		t.Errorf("read of a damaged one: %v", err)
	}
}

// What the owner has compressed is stored and read as it is, also where the journal
// compresses, counts as it was before, and can be found damaged by its owner.
func TestOwnerCodec(t *testing.T) {
	m := vfs.NewMem(capacity)
	o := small()
	o.Compress = true
	j := openMem(t, m, o)
	c := cursor(t, j, "a", Oldest)
	packed := bytes.Repeat([]byte{7}, 1000)
	if _, err := j.Append(ctx, Record{Parts: [][]byte{packed[:10], packed[10:]}, Units: 3, Codec: 127, Plain: 5000}); err != nil {
		t.Fatal(err)
	}
	_, err := j.Append(ctx, Record{Parts: [][]byte{packed}, Codec: 1, Plain: o.orDefaults().MaxRecordBytes + 1})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record that was larger than the bound before compression: %v", err)
	}
	put(t, j, nil)
	for range 2 {
		if held := c.Held(); held != (Held{2, 4, 5000}) {
			t.Errorf("%+v held", held)
		}
		e := next(t, c)
		if got := get(t, c, e); !bytes.Equal(got, packed) || e.OwnerCodec() != 127 || e.Length != 5000 || e.Stored != 1000 {
			t.Errorf("read %d bytes, codec %d, %d of %d bytes", len(got), e.OwnerCodec(), e.Stored, e.Length)
		}
		if s := j.Stats(); s.Stored.Bytes != 5000 || s.Written > 4000 {
			t.Errorf("the segments have %+v in %d bytes", s.Stored, s.Written)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		j = openMem(t, m, o)
		c = cursor(t, j, "a", Oldest)
	}
	e := next(t, c)
	if err := c.Damaged(e, errors.New("nonsense")); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
	if damaged, _ := c.Lost(); damaged != (Held{1, 3, 5000}) || c.Held().Records != 1 {
		t.Errorf("%+v damaged, %+v held", damaged, c.Held())
	}
}

// Records that are larger than a segment, and those with large parts.
func TestLargeRecords(t *testing.T) {
	m := vfs.NewMem(64 << 20)
	o := Options{MaxBytes: 16 << 20, SegmentBytes: 64 << 10, ReserveBytes: -1, SyncProgress: time.Hour}
	j := openMem(t, m, o)
	c := cursor(t, j, "a", Oldest)
	payloads := [][][]byte{
		{random(direct)}, {random(10), random(direct + 1), random(7), random(3 * direct)}, {random(64<<10 - 200)},
		{random(1 << 20)}, {random(5)}, {random(8 << 20)}, {random(3)},
	}
	for _, parts := range payloads {
		if _, err := j.Append(ctx, Record{Parts: parts}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := j.Append(ctx, Record{Parts: [][]byte{make([]byte, 8<<20), {1}}}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record beyond the default of MaxRecordBytes: %v", err)
	}
	again := openMem(t, image(m, vfs.DropAll), o)
	for _, c := range []*Cursor{c, cursor(t, again, "a", Oldest)} {
		for i, parts := range payloads {
			if got := get(t, c, next(t, c)); !bytes.Equal(got, bytes.Join(parts, nil)) {
				t.Errorf("record %d: %d bytes, altered", i, len(got))
			}
		}
	}
}

// Appends of many goroutines, with several readers, and with some that are cancelled.
func TestManyGoroutines(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{ReserveBytes: -1, SegmentBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	const writers, records = 16, 60
	var readers, all sync.WaitGroup
	for i := range 3 {
		c := cursor(t, j, fmt.Sprint(i), Oldest)
		readers.Go(func() {
			seen := map[string]bool{}
			for len(seen) < writers*records {
				e, err := c.Next(ctx)
				if err != nil {
					t.Error(err)
					return
				}
				b := make([]byte, e.PayloadBytes())
				if err := c.Read(ctx, e, b); err != nil {
					t.Error(err)
					return
				}
				key, _, _ := strings.Cut(string(b), " ")
				if seen[key] {
					t.Errorf("record %s twice", key)
				}
				seen[key] = true
				c.Ack(e)
			}
		})
	}
	for w := range writers {
		all.Go(func() {
			for i := range records {
				parts := [][]byte{[]byte(fmt.Sprintf("%d-%d ", w, i)), bytes.Repeat([]byte{'x'}, i*20)}
				if _, err := j.Append(ctx, Record{Parts: parts, Units: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	readers.Wait()
	s := j.Stats()
	if s.Records != writers*records || s.Groups > s.Records || s.Syncs != s.Groups {
		t.Errorf("%d records in %d groups with %d syncs", s.Records, s.Groups, s.Syncs)
	}
}

// holdEnv makes the test program hold a journal until its standard input ends.
const holdEnv = "PENSTOCK_TEST_HOLD_JOURNAL"

func hold(dir string) {
	j, err := Open(dir, Options{ReserveBytes: -1})
	fmt.Println("opened", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err == nil {
		j.Close()
	}
}

// A folder that another process has is not opened; the error names the process. After
// that process was killed it is.
func TestLockedByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), holdEnv+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "opened <nil>\n" {
		t.Errorf("the other process: %q, %v", line, err)
	}
	_, err = Open(dir, Options{ReserveBytes: -1})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), strconv.Itoa(cmd.Process.Pid)) || !strings.Contains(err.Error(), dir) {
		t.Errorf("open: %v; process %d has it", err, cmd.Process.Pid)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	j, err := Open(dir, Options{ReserveBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
	if list, _ := filepath.Glob(filepath.Join(dir, "*")); len(list) != 3 { // LOCK, progress, quarantine
		t.Errorf("the folder has %v", list)
	}
}

// What was acknowledged survives a power cut when SyncProgress has passed, without
// anything else happening.
func TestSyncProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(capacity)
		o := small()
		o.SyncProgress = time.Second
		dir, unmount := mount(m)
		defer unmount()
		j, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		c := cursor(t, j, "a", Oldest)
		for range 3 {
			put(t, j, []byte("x"))
		}
		c.Ack(next(t, c), next(t, c))
		time.Sleep(2 * time.Second)
		dir, unmount = mount(image(m, vfs.DropAll))
		defer unmount()
		again, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		if held := cursor(t, again, "a", Oldest).Held(); held.Records != 1 {
			t.Errorf("%+v held, want 1 record", held)
		}
	})
}

// After a failure the disk is left alone for a second, in which records are refused.
func TestOutage(t *testing.T) {
	retryAfter = time.Second
	defer func() { retryAfter = 0 }()
	synctest.Test(t, func(t *testing.T) {
		m := vfs.NewMem(capacity)
		dir, unmount := mount(m)
		defer unmount()
		j, err := Open(dir, small())
		if err != nil {
			t.Fatal(err)
		}
		defer j.Close()
		syncs := 0
		m.Inject(func(op vfs.Op) error {
			if op.Kind == vfs.OpSync {
				syncs++
				return syscall.EIO
			}
			return nil
		})
		refused := func() {
			t.Helper()
			if _, err := j.Append(ctx, Record{}); !errors.Is(err, ErrUnavailable) || !errors.Is(err, syscall.EIO) {
				t.Errorf("append: %v", err)
			}
		}
		refused()
		tried := syncs
		if tried == 0 || j.Stats().Err == nil {
			t.Errorf("%d syncs, error %v", tried, j.Stats().Err)
		}
		time.Sleep(900 * time.Millisecond)
		refused()
		if syncs != tried {
			t.Errorf("%d syncs in the second after a failure", syncs-tried)
		}
		time.Sleep(200 * time.Millisecond)
		refused()
		if syncs == tried {
			t.Error("it was not tried again")
		}
		m.Inject(nil)
		refused()
		time.Sleep(time.Second)
		put(t, j, []byte("x"))
		if s := j.Stats(); s.Err != nil || s.RefusedRecords != 4 {
			t.Errorf("%d refused, error %v", s.RefusedRecords, s.Err)
		}
	})
}

// Numbers near the end of 32 and 64 bits: order, counts and files are as elsewhere.
func TestNumbersWrap(t *testing.T) {
	for _, first := range []uint64{1<<32 - 2, 1<<63 - 2} {
		m := vfs.NewMem(capacity)
		o := small()
		o.first = first
		dir, unmount := mount(m)
		defer unmount()
		want := first
		for range 4 {
			j, err := Open(dir, o)
			if err != nil {
				t.Fatal(err)
			}
			c := cursor(t, j, "a", Oldest)
			for range 20 {
				put(t, j, make([]byte, 1000))
			}
			if held := c.Held(); held != (Held{20, 20, 20000}) {
				t.Errorf("from %d: %+v held", want, held)
			}
			found, err := drainAny(c)
			if err != nil || len(found) != 20 || found[0] != want || found[19] != want+19 {
				t.Fatalf("from %d: found %v, %v", want, found, err)
			}
			want += 20
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Everything at once, with little room: nothing hangs, and at the end the amounts of each
// cursor add up.
func TestEverythingAtOnce(t *testing.T) {
	dir := t.TempDir()
	o := Options{ReserveBytes: -1, MaxBytes: 256 << 10, SegmentBytes: 16 << 10, WhenFull: DropOldest, SyncProgress: time.Millisecond, Compress: true}
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	var writers, others sync.WaitGroup
	done := make(chan struct{})
	until := func(f func()) {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					f()
				}
			}
		})
	}
	acknowledged := make([]Held, 3)
	cursors := make([]*Cursor, 3)
	for i := range cursors {
		c := cursor(t, j, fmt.Sprint(i), Oldest)
		cursors[i] = c
		var out []Entry
		until(func() {
			e, ok, err := c.TryNext(ctx)
			if err != nil {
				t.Error(err)
			}
			if !ok {
				time.Sleep(100 * time.Microsecond)
				return
			}
			if out = append(out, e); len(out) < 3 || i == 2 && len(out) < 100 {
				return
			}
			for _, e := range slices.Backward(out) {
				if err := c.Read(ctx, e, make([]byte, e.PayloadBytes())); err != nil && !errors.Is(err, ErrDropped) {
					t.Error(err)
				}
				c.Ack(e)
			}
			acknowledged[i].Records += uint64(len(out))
			out = nil
		})
	}
	until(func() {
		if _, err := j.Cursor("passing", From(time.Now().Nanosecond()/1000%2)); err != nil {
			t.Error(err)
		}
		_, _, _ = j.Stats(), j.Cursors(), cursors[0].Held()
		if err := cursors[1].SetState([]byte("state"), true); err != nil {
			t.Error(err)
		}
		if err := j.DropCursor("passing"); err != nil {
			t.Error(err)
		}
	})
	const records = 150
	for w := range 8 {
		writers.Go(func() {
			for i := range records {
				if _, err := j.Append(ctx, Record{Parts: [][]byte{random(w*100 + i*10)}, Units: 1}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	others.Wait()
	for i, c := range cursors {
		damaged, dropped := c.Lost()
		held := c.Held()
		// Records that were dropped while they were handed out are in both.
		if sum := acknowledged[i].Records + held.Records + dropped.Records; damaged != (Held{}) || sum < 8*records {
			t.Errorf("cursor %d: %d acknowledged, %+v held, %+v dropped, %+v damaged", i, acknowledged[i].Records, held, dropped, damaged)
		}
	}
}

// A small disk is filled up to an eighth, the reserve, in small segments; and the log says
// so at its beginning and end.
func TestSmallDisk(t *testing.T) {
	m := vfs.NewMem(16 << 20)
	dir, unmount := mount(m)
	defer unmount()
	var log bytes.Buffer
	j, err := Open(dir, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c := cursor(t, j, "a", Oldest)
	full := func() (appended int64) {
		for ; err == nil; appended += 100_000 {
			_, err = j.Append(ctx, Record{Parts: [][]byte{make([]byte, 100_000)}})
		}
		if !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		err = nil
		return appended
	}
	if n := full(); n < 11<<20 {
		t.Errorf("%d bytes were appended", n)
	}
	if free, _, _ := m.Space(); free < 2<<20 || free > 4<<20 {
		t.Errorf("%d bytes are free", free)
	}
	for range 50 {
		c.Ack(next(t, c))
	}
	if n := full(); n < 3<<20 {
		t.Errorf("%d bytes were appended when there was room", n)
	}
	for line, times := range map[string]int{"smaller than the bound": 1, "is full: records are refused": 1, "has room again": 1, "reserve_bytes=2097152": 1} {
		if strings.Count(log.String(), line) != times {
			t.Errorf("the log has %q %d times, want %d: %.2000s", line, strings.Count(log.String(), line), times, log.String())
		}
	}
}

func TestReserve(t *testing.T) {
	for _, c := range []struct{ option, total, want int64 }{
		{DefaultReserveBytes, 100 << 30, 256 << 20}, {DefaultReserveBytes, 2 << 30, 256 << 20}, {DefaultReserveBytes, 64 << 20, 8 << 20},
		{64 << 20, 64 << 20, 2 << 20}, {-1, 1 << 30, 0}, {DefaultReserveBytes, math.MaxInt64, 256 << 20}, {1 << 50, math.MaxInt64, 1 << 50}, {DefaultReserveBytes, 0, 0},
	} {
		o := Options{ReserveBytes: c.option}
		if got := o.reserve(c.total); got != c.want {
			t.Errorf("of a disk of %d bytes %d are the reserve, want %d", c.total, got, c.want)
		}
	}
}
