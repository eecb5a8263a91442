package journal

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

var (
	seeds = flag.Int("seeds", 1, "how many lives of a journal are tried in the tests of power cuts and faults")
	steps = flag.Int("steps", 80, "how many operations each has")
	whole = flag.Bool("whole", false, "flip every bit instead of a sample")
)

const capacity = 4 << 20

// A power cut after every single operation on files, in every mode of forgetting; and
// once more while what is left is opened: nothing is lost that was acknowledged.
func TestPowerCuts(t *testing.T) {
	var images atomic.Int64
	begin := time.Now()
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if err := checkPowerCuts(seed, &images); err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Cleanup(func() {
		t.Logf("%d images in %v", images.Load(), time.Since(begin).Round(time.Millisecond))
	})
}

func cutAfterEach(s *scenario, seed uint64, images *atomic.Int64) error {
	var first atomic.Pointer[error]
	s.m.After(func(op vfs.Op) {
		if !op.Kind.Changes() || first.Load() != nil {
			return
		}
		for mode := range vfs.Modes {
			must := s.w.must()
			r := rand.New(rand.NewPCG(seed<<32|uint64(op.Index), uint64(mode)))
			image := s.m.Crash(mode, r)
			if err := cutTwice(s.w, image, must, r, images); err != nil {
				err = fmt.Errorf("seed %d, power cut (%v) after %v: %w", seed, mode, op, err)
				first.CompareAndSwap(nil, &err)
			}
		}
	})
	err := s.play()
	s.m.After(nil)
	if e := first.Load(); e != nil {
		return *e
	}
	return err
}

// cutTwice verifies an image, and one that is left of it when the power fails again
// while it is opened.
func cutTwice(w *world, image *vfs.Mem, must []int, r *rand.Rand, images *atomic.Int64) error {
	again := image.Crash(vfs.KeepAll, r)
	images.Add(2)
	if err := w.verify(image, must); err != nil {
		return err
	}
	cut, n := r.IntN(30), 0
	var left *vfs.Mem
	again.After(func(op vfs.Op) {
		if op.Kind.Changes() {
			if n == cut {
				left = again.Crash(vfs.Mode(r.IntN(int(vfs.Modes))), r)
			}
			n++
		}
	})
	dir, unmount := mount(again)
	defer unmount()
	j, err := Open(dir, small())
	if err != nil {
		return err
	}
	j.Close()
	if left == nil {
		return nil
	}
	if err := w.verify(left, must); err != nil {
		return fmt.Errorf("second power cut, in operation %d of opening: %w", cut, err)
	}
	return nil
}

// faultyLives counts lives in which something failed.
var faultyLives atomic.Int64

// Each operation on files fails, alone and with those after it, in each way; afterwards the journal is as it
// should be, at once and after a power cut.
func TestEveryFault(t *testing.T) {
	t.Cleanup(func() { t.Logf("%d lives", faultyLives.Load()) })
	for seed := range uint64(*seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if err := checkFaults(seed); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkFaults(seed uint64) error {
	m := vfs.NewMem(capacity)
	var ops atomic.Int64
	m.After(func(vfs.Op) { ops.Add(1) })
	if err := newScenario(seed, m, *steps).play(); err != nil {
		return err
	}
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS, vfs.Short{Err: syscall.EIO}, vfs.Short{Err: syscall.ENOSPC}} {
		for k := range ops.Load() {
			for _, n := range []int64{1, 9} {
				if err := failSome(seed, k, n, fault); err != nil {
					return fmt.Errorf("seed %d, %w in operation %d, %d times: %w", seed, fault, k, n, err)
				}
			}
		}
	}
	return nil
}

// failSome plays a scenario in which n operations fail from the k-th on.
func failSome(seed uint64, k, n int64, fault error) error {
	faultyLives.Add(1)
	m := vfs.NewMem(capacity)
	m.Inject(func(op vfs.Op) error {
		if op.Index >= k && op.Index < k+n {
			return fault
		}
		return nil
	})
	s := newScenario(seed, m, *steps)
	if err := s.play(); err != nil {
		return err
	}
	must := s.w.must()
	r := rand.New(rand.NewPCG(seed, uint64(k)))
	for _, mode := range []vfs.Mode{vfs.KeepAll, vfs.DropAll, vfs.Tear} {
		if err := s.w.verify(m.Crash(mode, r), must); err != nil {
			return fmt.Errorf("then %v: %w", mode, err)
		}
	}
	return nil
}

// A disk that fails from some operation on refuses, and what was acknowledged is there
// when it works again.
func TestDiskFailsForGood(t *testing.T) {
	for _, fault := range []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS} {
		for k := int64(0); k < 400; k += 7 {
			m := vfs.NewMem(capacity)
			m.Inject(func(op vfs.Op) error {
				if op.Index >= k && op.Kind.Changes() {
					return fault
				}
				return nil
			})
			s := newScenario(uint64(k), m, 60)
			if err := s.play(); err != nil {
				t.Fatalf("%v from operation %d on: %v", fault, k, err)
			}
			m.Inject(nil)
			if err := s.w.verify(m.Crash(vfs.DropAll, rand.New(rand.NewPCG(1, 1))), s.w.must()); err != nil {
				t.Fatalf("%v from operation %d on: %v", fault, k, err)
			}
		}
	}
}
