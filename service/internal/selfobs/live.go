package selfobs

import (
	"sync"
	"sync/atomic"
)

// live is a value that is used by several goroutines and can be replaced, so that
// nobody uses the old value when end returns. A use may nest in another one.
type live[T any] struct{ current atomic.Pointer[generation[T]] }

// generation is a value between two replacements.
type generation[T any] struct {
	uses  sync.RWMutex
	ended bool // no use begins any more
	value T
}

// begin returns the current value, which is valid until done.
func (l *live[T]) begin() *generation[T] {
	for {
		if g := l.current.Load(); g.begin() {
			return g
		}
	}
}

// begin reports whether a use has begun: not after end.
func (g *generation[T]) begin() bool {
	g.uses.RLock()
	if g.ended { // it was replaced since it was found
		g.uses.RUnlock()
		return false
	}
	return true
}

func (g *generation[T]) done() { g.uses.RUnlock() }

// replace makes v the current value, and returns the old one, nil at first.
func (l *live[T]) replace(v T) *generation[T] { return l.current.Swap(&generation[T]{value: v}) }

// end waits until the uses of a replaced value are over.
func (g *generation[T]) end() {
	g.uses.Lock()
	g.ended = true
	g.uses.Unlock()
}
