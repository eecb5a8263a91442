package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

func TestMain(m *testing.M) {
	readPause, retryAfter = 0, 0
	if dir := os.Getenv(holdEnv); dir != "" {
		hold(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

var folders atomic.Int64

// mount makes a file system in memory the folder that is returned.
func mount(m *vfs.Mem) (dir string, unmount func()) {
	dir = fmt.Sprintf("/journal-test/%d", folders.Add(1))
	return dir, vfs.Mount(dir, m)
}

// small are options with which little data has many segments.
func small() Options {
	return Options{MaxBytes: 256 << 10, SegmentBytes: 8 << 10, ReserveBytes: -1, SyncProgress: time.Hour, slot: 4 << 10}
}

// fate is what is known of a record.
type fate struct {
	acked   atomic.Bool // Append has returned nil
	settled atomic.Bool // Ack was called
}

// world is what a test has done with a journal, to compare what is found with. A
// record's payload is made from its number.
type world struct {
	mu   sync.Mutex
	recs []*fate
}

func (w *world) add() (number int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.recs = append(w.recs, &fate{})
	return len(w.recs) - 1
}

func (w *world) all() []*fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recs[:len(w.recs):len(w.recs)]
}

// payload is the content of a record: its number, and bytes that follow from it.
func payload(number int) []byte {
	r := rand.New(rand.NewPCG(uint64(number), 77))
	size := r.IntN(300)
	if r.IntN(10) == 0 {
		size = r.IntN(5000)
	}
	b := binary.LittleEndian.AppendUint32(nil, uint32(number))
	for range size {
		b = append(b, byte(r.Uint32()))
	}
	return b
}

// append appends a record.
func (w *world) append(j *Journal) error {
	n := w.add()
	b := payload(n)
	cut := len(b) / 3
	_, err := j.Append(context.Background(), Record{Parts: [][]byte{b[:cut], b[cut:]}, Units: uint32(n % 7), Tag: uint16(n)})
	if err == nil {
		w.all()[n].acked.Store(true)
	}
	return err
}

// must is what has to be found: what was acknowledged to its sender, and not settled.
// It is called before the image is taken that is looked at; settled is looked at
// later, since it only makes less necessary.
func (w *world) must() (numbers []int) {
	for n, f := range w.all() {
		if f.acked.Load() && !f.settled.Load() {
			numbers = append(numbers, n)
		}
	}
	return numbers
}

// drain reads all that a cursor has, and settles it if settle is true.
func drain(c *Cursor, settle bool) (numbers []int, err error) {
	for {
		e, ok, err := c.TryNext(ctx)
		if err != nil || !ok {
			return numbers, err
		}
		n, err := read(c, e)
		if err != nil {
			return numbers, err
		}
		numbers = append(numbers, n)
		if settle {
			c.Ack(e)
		}
	}
}

// read reads a record and compares it with what was written.
func read(c *Cursor, e Entry) (number int, err error) {
	buf := make([]byte, e.PayloadBytes())
	if err := c.Read(ctx, e, buf); err != nil {
		return 0, err
	}
	if len(buf) < 4 {
		return 0, errors.New("a record is too short")
	}
	n := int(binary.LittleEndian.Uint32(buf))
	if n >= 1<<20 || !bytes.Equal(buf, payload(n)) || e.Tag != uint16(n) || e.Units != uint32(n%7) {
		return n, fmt.Errorf("record %d is altered", e.Sequence)
	}
	return n, nil
}

// verify opens what is in m and compares: nothing that must be there is missing,
// nothing is altered or there twice, nothing is called damaged, and the journal works.
func (w *world) verify(m *vfs.Mem, must []int) error {
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
	if j.atRisk != 0 {
		return errors.New("the progress is lost")
	}
	held := c.Held()
	found, err := drain(c, false)
	if err != nil {
		return err
	}
	if err := w.compare(must, found); err != nil {
		return err
	}
	if damaged, dropped := c.Lost(); damaged != (Held{}) || dropped != (Held{}) {
		return fmt.Errorf("%+v called damaged, %+v dropped", damaged, dropped)
	}
	if held.Records < uint64(len(found)) {
		return fmt.Errorf("%d records held, %d found", held.Records, len(found))
	}
	n := w.add()
	if _, err := j.Append(context.Background(), Record{Parts: [][]byte{payload(n)}, Units: uint32(n % 7), Tag: uint16(n)}); err != nil {
		return err
	}
	if again, err := drain(c, true); err != nil || len(again) != 1 || again[0] != n {
		return fmt.Errorf("after a further record: found %v, %w", again, err)
	}
	return nil
}

func (w *world) compare(must, found []int) error {
	all := w.all()
	there := map[int]bool{}
	for _, n := range found {
		switch {
		case n >= len(all):
			return fmt.Errorf("record %d was found, which was not written", n)
		case there[n]:
			return fmt.Errorf("record %d was found twice", n)
		}
		there[n] = true
	}
	for _, n := range must {
		if !there[n] && !all[n].settled.Load() {
			return fmt.Errorf("record %d was acknowledged, and is lost (%d found)", n, len(found))
		}
	}
	return nil
}

// scenario is a life of a journal: appends, alone and together, reads and
// acknowledgements in any order, closing and opening. With faults errors are expected.
type scenario struct {
	w     *world
	m     *vfs.Mem
	r     *rand.Rand
	dir   string
	j     *Journal
	c     *Cursor
	held  []Entry // handed out
	errs  int
	steps int
}

// play returns an error if the journal does what it must not; errors of the file
// system are not among them.
func (s *scenario) play() error {
	var unmount func()
	s.dir, unmount = mount(s.m)
	defer unmount()
	defer func() {
		if s.j != nil {
			s.j.Close()
		}
	}()
	for range s.steps {
		if s.j == nil && !s.open() {
			continue
		}
		if err := s.step(); err != nil {
			return err
		}
	}
	return nil
}

func (s *scenario) open() bool {
	j, err := Open(s.dir, small())
	if err != nil {
		s.errs++
		return false
	}
	c, err := j.Cursor("a", Oldest)
	if err != nil {
		s.errs++
		j.Close()
		return false
	}
	s.j, s.c, s.held = j, c, nil
	return true
}

func (s *scenario) step() error {
	switch k := s.r.IntN(20); {
	case k < 7:
		s.count(s.w.append(s.j))
	case k < 9:
		var wg sync.WaitGroup
		errs := make([]error, 2+s.r.IntN(4))
		for i := range errs {
			wg.Go(func() { errs[i] = s.w.append(s.j) })
		}
		wg.Wait()
		for _, err := range errs {
			s.count(err)
		}
	case k < 14:
		e, ok, err := s.c.TryNext(ctx)
		if err != nil {
			s.errs++
		} else if ok {
			return s.take(e)
		}
	case k < 18:
		for i := s.r.IntN(3); i >= 0 && len(s.held) > 0; i-- {
			at := s.r.IntN(len(s.held))
			s.settle(s.held[at])
			s.held = append(s.held[:at], s.held[at+1:]...)
		}
	case k < 19:
		for _, e := range s.held {
			s.settle(e)
		}
		s.held = nil
	default:
		if err := s.j.Close(); err != nil {
			s.errs++
		}
		s.j = nil
	}
	return nil
}

func (s *scenario) count(err error) {
	if err != nil {
		s.errs++
	}
}

func (s *scenario) take(e Entry) error {
	_, err := read(s.c, e)
	switch {
	case errors.Is(err, ErrDropped):
		return nil
	case err != nil && !errors.Is(err, ErrDamaged):
		return err
	case err != nil:
		return fmt.Errorf("after %d errors: %w", s.errs, err)
	}
	s.held = append(s.held, e)
	return nil
}

func (s *scenario) settle(e Entry) {
	buf := make([]byte, e.PayloadBytes())
	if s.c.Read(ctx, e, buf) == nil {
		s.w.all()[binary.LittleEndian.Uint32(buf)].settled.Store(true)
	}
	s.c.Ack(e)
}

func newScenario(seed uint64, m *vfs.Mem, steps int) *scenario {
	return &scenario{w: &world{}, m: m, r: rand.New(rand.NewPCG(seed, 1)), steps: steps}
}
