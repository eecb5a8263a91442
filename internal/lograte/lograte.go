// Package lograte keeps a log readable: a line that may occur often is written at
// most once in a while, with the number of times that it occurred.
package lograte

import (
	"sync/atomic"
	"time"
)

// Limiter limits one kind of line. The zero value has never allowed one. It is safe
// for concurrent use.
type Limiter struct {
	last    atomic.Int64 // Unix nanoseconds of the last line; 0: none yet
	pending atomic.Int64 // occurrences since then
}

// Allow counts one occurrence. ok reports whether to write a line now, since none
// was written for the duration every. times is the number of occurrences that the
// line stands for.
func (l *Limiter) Allow(every time.Duration) (times int64, ok bool) {
	l.pending.Add(1)
	now, last := time.Now().UnixNano(), l.last.Load()
	if within(now, last, every) || !l.last.CompareAndSwap(last, now) {
		return 0, false
	}
	return l.pending.Swap(0), true
}

// Pending returns the number of occurrences that no line stands for yet, and
// forgets them.
func (l *Limiter) Pending() int64 { return l.pending.Swap(0) }

// Recent reports whether a line was written within the last d.
func (l *Limiter) Recent(d time.Duration) bool {
	return within(time.Now().UnixNano(), l.last.Load(), d)
}

// within: a clock that was set back ends the wait.
func within(now, last int64, every time.Duration) bool {
	return last != 0 && now >= last && now-last < int64(every)
}
