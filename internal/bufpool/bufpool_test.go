package bufpool

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestGetHasLengthAndClassCapacity(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 4096, 1<<20 + 1, 1<<24 - 1, 1 << 24, 1<<24 + 1} {
		p := Get(n)
		if len(*p) != n || cap(*p) < n {
			t.Errorf("Get(%d): len %d cap %d", n, len(*p), cap(*p))
		}
		Put(p)
	}
}

// A buffer whose capacity is not a power of two only serves the class below.
func TestPutOddCapacityNeverReturnsTooSmall(t *testing.T) {
	for range 100 {
		odd := make([]byte, 300)
		Put(&odd)
		if p := Get(400); cap(*p) < 400 {
			t.Fatalf("got %d bytes for 400", cap(*p))
		}
	}
}

func TestGrowKeepsContents(t *testing.T) {
	p := Get(5)
	copy(*p, "hello")
	p = Grow(p, 1<<16)
	if string(*p) != "hello" || cap(*p) < 5+1<<16 {
		t.Fatalf("got %q with capacity %d", *p, cap(*p))
	}
	q := Grow(p, 10)
	if q != p {
		t.Error("Grow moved a buffer with enough capacity")
	}
}

// Class is the capacity of a new buffer.
func TestClassIsTheCapacityOfAFreshBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 256, 257, 1 << 20, 1<<20 + 1, 1 << 24, 1<<24 + 1, 64 << 20} {
		p := Get(n)
		if got := Class(n); got != cap(*p) && (n > 1<<maxClass || cap(*p) < got) {
			t.Errorf("Class(%d) = %d, a new buffer has %d", n, got, cap(*p))
		}
		if Class(n) < n || Class(n) > max(2*n, 1<<minClass) {
			t.Errorf("Class(%d) = %d", n, Class(n))
		}
	}
}

// Large buffers are used again as long as they are not collected. A few survive a
// collection, all others are freed by one. The tests of large buffers share the pool:
// they are not parallel.
func TestLargeBuffersAreHeldWeakly(t *testing.T) {
	for _, n := range []int{1 << maxClass, 20 << 20, 64 << 20} { // larger than what is kept
		before := large.recount()
		p := Get(n)
		(*p)[0] = 7
		at := &(*p)[0]
		Put(p)
		if p = Get(n - 1); &(*p)[0] != at || len(*p) != n-1 {
			t.Errorf("%d bytes: another buffer, although one was idle", n)
		}
		Put(p)
		p, at = nil, nil
		runtime.GC()
		if left := large.recount(); left != before {
			t.Errorf("%d bytes: %d more are idle after a collection", n, left-before)
		}
	}
	var all []*[]byte
	for range 4 * keptBytes >> 20 {
		all = append(all, Get(1<<20))
	}
	for _, p := range all {
		Put(p)
	}
	clear(all)
	runtime.GC()
	if left := large.recount(); left == 0 || left > keptBytes {
		t.Errorf("%d bytes are idle after a collection, want some and at most %d", left, keptBytes)
	}
}

// A buffer that a steady load uses is the same one after a collection.
func TestFewLargeBuffersAreKept(t *testing.T) {
	p := Get(1 << 20)
	at := &(*p)[0]
	Put(p)
	p = nil
	runtime.GC()
	if p = Get(1 << 20); &(*p)[0] != at {
		t.Error("the buffer was collected, although it is one of few")
	}
	Put(p)
}

// With a memory limit, large buffers that are not in use are collected before more
// are allocated than the limit leaves room for, whatever their sizes were.
func TestUnusedLargeBuffersAreBounded(t *testing.T) {
	const limit, used = 64 << 20, 48 << 20
	runtime.GC()
	runtime.GC()
	start := inUse()
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(limit + int64(start)))
	highest := uint64(0)
	for range 5 {
		for _, size := range []int{16 << 20, 4 << 20, 24 << 20, 8 << 20, 1 << 20} {
			var all []*[]byte
			for range used / size {
				all = append(all, Get(size))
				highest = max(highest, inUse()-start)
			}
			for _, p := range all {
				Put(p)
			}
		}
	}
	if most := uint64(used + limit/garbageDivisor + 2<<20); highest > most {
		t.Errorf("%d MiB of heap for %d MiB in use, expected at most %d", highest>>20, used>>20, most>>20)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
