package sending

import (
	"sync/atomic"
	"time"
)

// A notice is something that an operator is told at most once in a while.
type notice struct {
	every  time.Duration
	last   atomic.Int64 // Unix nanoseconds of when it was told; 0: never
	untold atomic.Int64 // times since then
}

// due counts one more time and says whether to tell now, and of how many.
func (n *notice) due() (times int64, tell bool) {
	n.untold.Add(1)
	now, last := time.Now().UnixNano(), n.last.Load()
	if last != 0 && now-last < int64(n.every) || !n.last.CompareAndSwap(last, now) {
		return 0, false
	}
	return n.untold.Swap(0), true
}
