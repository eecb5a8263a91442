package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// The checks return what is wrong. Tests call them, and planted_test.go shows that each
// planted fault is found by one of them.

func checkPowerCuts(seed uint64, images *atomic.Int64) error {
	return cutAfterEach(newScenario(seed, vfs.NewMem(capacity), *steps), seed, images)
}

// filled is a journal of records that nobody has read, in several segments, as the end
// of a process leaves it.
func filled(w *world, records int, o Options) (*vfs.Mem, error) {
	m := vfs.NewMem(16 << 20)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, o)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	if _, err := j.Cursor("a", Oldest); err != nil {
		return nil, err
	}
	for range records {
		if err := w.append(j); err != nil {
			return nil, err
		}
	}
	return m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1))), nil
}

// checkFlip flips one bit of a file: what is delivered is unaltered, and all records but
// the one that was hit are there. What is missing is counted.
func checkFlip(w *world, m *vfs.Mem, name string, bit int64) error {
	image := m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
	f, err := image.Open(name, true)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, bit/8); err != nil {
		return err
	}
	b[0] ^= 1 << (bit % 8)
	if _, err := f.WriteAt(b, bit/8); err != nil {
		return err
	}
	dir, unmount := mount(image)
	defer unmount()
	j, err := Open(dir, small())
	if errors.Is(err, segment.ErrVersion) {
		return nil
	}
	if err != nil {
		return err
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		return err
	}
	found, err := salvage(c)
	if err != nil {
		return err
	}
	if err := w.compare(nil, found); err != nil {
		return err
	}
	damaged, _ := c.Lost()
	last := len(found) > 0 && found[len(found)-1] == len(w.all())-1 || damaged.Records > 0
	if missing := len(w.all()) - len(found); missing > 1 || last && missing != int(damaged.Records) {
		return fmt.Errorf("%d of %d records are missing, %d called damaged", missing, len(w.all()), damaged.Records)
	}
	return nil
}

// salvage is drain that passes damaged records.
func salvage(c *Cursor) (numbers []int, err error) {
	for {
		e, ok, err := c.TryNext(ctx)
		if err != nil || !ok {
			return numbers, err
		}
		n, err := read(c, e)
		if errors.Is(err, ErrDamaged) {
			continue
		}
		if err != nil {
			return numbers, err
		}
		numbers = append(numbers, n)
		c.Ack(e)
	}
}

func segments(m *vfs.Mem) (list []vfs.Info) {
	all, _ := m.List(".")
	for _, info := range all {
		if strings.HasSuffix(info.Name, suffix) {
			list = append(list, info)
		}
	}
	return list
}

// checkFlips flips bits of all segments, every step-th.
func checkFlips(step int64) error {
	w := &world{}
	m, err := filled(w, 60, small())
	if err != nil {
		return err
	}
	for _, info := range segments(m) {
		for bit := int64(0); bit < info.Size*8; bit += step {
			if err := checkFlip(w, m, info.Name, bit); err != nil {
				return fmt.Errorf("bit %d of %s: %w", bit, info.Name, err)
			}
		}
	}
	return nil
}

// checkFullDisk fills a disk: records are refused, what is there is delivered and
// acknowledged, durably, and then there is room again.
func checkFullDisk(capacity int64) error {
	w, m := &world{}, vfs.NewMem(capacity)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return nil // no room for the progress: refused cleanly
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		return err
	}
	for round := range 3 {
		n := 0
		for ; n < 10000; n++ {
			if err = w.append(j); err != nil {
				break
			}
		}
		if n == 0 && capacity < 32<<10 {
			return nil // no room for a single segment
		}
		if !errors.Is(err, ErrFull) || n == 0 {
			return fmt.Errorf("round %d: after %d records: %w", round, n, err)
		}
		must := w.must()
		found, err := drain(c, true)
		if err != nil {
			return err
		}
		for _, n := range found {
			w.all()[n].settled.Store(true)
		}
		if len(found) < len(must) {
			return fmt.Errorf("round %d: %d of %d records drained", round, len(found), len(must))
		}
		if held := c.Held(); held != (Held{}) {
			return fmt.Errorf("round %d: %+v held after all was acknowledged", round, held)
		}
		if j.progress.failed() {
			return fmt.Errorf("round %d: the progress was not written", round)
		}
	}
	return w.verify(m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1))), w.must())
}

// checkClose closes a journal while it is appended to: what is acknowledged is there.
func checkClose(seed uint64) error {
	w, m := &world{}, vfs.NewMem(capacity)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return err
	}
	closing := make(chan struct{})
	var once sync.Once
	m.Inject(func(op vfs.Op) error { // the others gather while the first is synced
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, suffix) {
			once.Do(func() { close(closing); time.Sleep(time.Millisecond) })
		}
		return nil
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { w.append(j) })
	}
	<-closing
	err = j.Close()
	wg.Wait()
	if err != nil {
		return err
	}
	return w.verify(m.Crash(vfs.DropAll, rand.New(rand.NewPCG(seed, 1))), w.must())
}

// checkLostTail loses the newest records, which were acknowledged, as a disk can: what
// is appended then is delivered all the same.
func checkLostTail() error {
	w := &world{}
	m, err := filled(w, 5, small())
	if err != nil {
		return err
	}
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return err
	}
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		return err
	}
	if _, err := drain(c, true); err != nil {
		return err
	}
	image := m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1)))
	j.Close()
	for _, info := range segments(image) {
		if err := image.Remove(info.Name); err != nil {
			return err
		}
	}
	return (&world{recs: w.recs}).verifyNew(image)
}

// checkSuperseded refuses a record whose bytes have reached the file, and appends
// another, which gets its sequence: the second is delivered.
func checkSuperseded() error {
	w, m := &world{}, vfs.NewMem(capacity)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return err
	}
	defer j.Close()
	if err := w.append(j); err != nil {
		return err
	}
	m.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			return syscall.EIO
		}
		return nil
	})
	if err := w.append(j); !errors.Is(err, ErrUnavailable) {
		return fmt.Errorf("while no sync succeeds: %w", err)
	}
	m.Inject(nil)
	if err := w.append(j); err != nil {
		return err
	}
	return w.verify(m.Crash(vfs.KeepAll, rand.New(rand.NewPCG(1, 1))), w.must())
}

// verifyNew appends to what is in m, and wants it delivered.
func (w *world) verifyNew(m *vfs.Mem) error {
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return err
	}
	defer j.Close()
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		return err
	}
	for range 3 {
		if err := w.append(j); err != nil {
			return err
		}
	}
	found, err := drain(c, true)
	if err != nil || len(found) != 3 {
		return fmt.Errorf("found %v of 3 new records, %w", found, err)
	}
	return nil
}

func TestFlips(t *testing.T) {
	step := int64(1009)
	if *whole {
		step = 1
	}
	if err := checkFlips(step); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	for c := int64(4 << 10); c < 200<<10; c += 4 << 10 {
		if err := checkFullDisk(c); err != nil {
			t.Fatalf("a disk of %d bytes: %v", c, err)
		}
	}
}

func TestCloseKeepsWhatItAcknowledges(t *testing.T) {
	for seed := range uint64(50) {
		if err := checkClose(seed); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLostTail(t *testing.T) {
	if err := checkLostTail(); err != nil {
		t.Fatal(err)
	}
}

func TestSuperseded(t *testing.T) {
	if err := checkSuperseded(); err != nil {
		t.Fatal(err)
	}
}

// A damaged progress delivers everything again, rather than nothing.
func TestDamagedProgress(t *testing.T) {
	w := &world{}
	m, err := filled(w, 20, small())
	if err != nil {
		t.Fatal(err)
	}
	list, _ := m.List(".")
	for _, info := range list {
		if strings.HasPrefix(info.Name, progressPrefix) {
			f, err := m.Open(info.Name, true)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(make([]byte, info.Size), 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	c, err := j.Cursor("a", End) // a name that is not known any more, but may have been
	if err != nil {
		t.Fatal(err)
	}
	found, err := drain(c, true)
	if err != nil || len(found) != 20 {
		t.Errorf("found %d of 20 records, %v", len(found), err)
	}
}

var errEnded = errors.New("ended")

// An Append whose context ends returns; its memory is not used any more.
func TestAppendThatIsCancelled(t *testing.T) {
	m := vfs.NewMem(capacity)
	dir, unmount := mount(m)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	m.Inject(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, suffix) {
			once.Do(func() { close(reached); <-release })
		}
		return nil
	})
	ctx, cancel := context.WithCancelCause(context.Background())
	errs := make(chan error, 2)
	for range 2 { // one is being synced, one waits
		go func() {
			b := []byte("payload")
			_, err := j.Append(ctx, Record{Parts: [][]byte{b}})
			copy(b, "another")
			errs <- err
		}()
	}
	<-reached
	cancel(errEnded)
	for range 2 {
		if err := <-errs; !errors.Is(err, errEnded) {
			t.Errorf("Append returned %v", err)
		}
	}
	close(release)
}
