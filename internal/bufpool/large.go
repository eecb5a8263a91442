package bufpool

import (
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"weak"
)

// minLarge is the class from which idle buffers are counted: 128 KiB.
const minLarge = 17

// garbageDivisor: large buffers that are not in use may take an eighth of the
// runtime's memory limit before they are collected.
const garbageDivisor = 8

// keptBytes is how much of the idle large buffers survives a collection: enough for
// the few that a steady load uses, so that they are not allocated and cleared again
// after each.
const keptBytes = 8 << 20

// largePool has the idle buffers of the classes from minLarge on, and those that
// are larger than any class. Beyond keptBytes it holds them weakly: the garbage
// collector frees them, and until then they can be used again. A sync.Pool would hold
// each of them over one collection, and would not say how much it holds: as much
// again as what is in use.
type largePool struct {
	mu   sync.Mutex
	idle [maxClass + 2][]idleBuffer // by class, the last one is for other sizes
	kept int                        // bytes of idle that are not held weakly
	// unused is the size of the buffers in idle, in bytes, including collected
	// ones until get or put finds them.
	unused int64

	collecting sync.Mutex // held during a collection: others wait for it
}

type idleBuffer struct {
	kept *[]byte // nil: it is held weakly
	p    weak.Pointer[[]byte]
	size int
}

// value returns the buffer, nil if it was collected.
func (b *idleBuffer) value() *[]byte {
	if b.kept != nil {
		return b.kept
	}
	return b.p.Value()
}

// get returns an idle buffer of a class with room for n bytes, nil if there is
// none.
func (l *largePool) get(class, n int) *[]byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.idle[class]
	for i := len(list) - 1; i >= 0; i-- {
		b := list[i]
		p := b.value()
		if p != nil && (b.size < n || b.size/2 > n) { // of those without a class
			continue
		}
		list = slices.Delete(list, i, i+1)
		l.unused -= int64(b.size)
		if b.kept != nil {
			l.kept -= b.size
		}
		if p != nil {
			l.idle[class] = list
			return p
		}
	}
	l.idle[class] = list
	return nil
}

// put takes a buffer that is not in use any more.
func (l *largePool) put(class int, p *[]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.idle[class]) == cap(l.idle[class]) {
		l.forgetCollected(class)
	}
	b := idleBuffer{size: cap(*p)}
	if l.kept+b.size <= keptBytes {
		b.kept = p
		l.kept += b.size
	} else {
		b.p = weak.Make(p)
	}
	l.idle[class] = append(l.idle[class], b)
	l.unused += int64(b.size)
}

func (l *largePool) forgetCollected(class int) {
	l.idle[class] = slices.DeleteFunc(l.idle[class], func(b idleBuffer) bool {
		collected := b.value() == nil
		if collected {
			l.unused -= int64(b.size)
		}
		return collected
	})
}

// makeRoom is called before a large buffer is allocated. If many are unused it
// collects the garbage first: the runtime, which does not know that they are, would
// exceed its memory limit, since a few of them are as much as what it leaves free.
// Without a memory limit it does nothing.
func (l *largePool) makeRoom() {
	limit := debug.SetMemoryLimit(-1) // reads it
	if limit == math.MaxInt64 || l.count() <= limit/garbageDivisor {
		return
	}
	l.collecting.Lock()
	defer l.collecting.Unlock()
	if l.recount() > limit/garbageDivisor {
		runtime.GC()
		l.recount()
	}
}

func (l *largePool) count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unused
}

// recount is count without the buffers that are collected.
func (l *largePool) recount() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	for class := range l.idle {
		l.forgetCollected(class)
	}
	return l.unused
}
