package obsreport

import (
	"sync/atomic"
	"time"
)

// Notice is something that an operator is told at most once in a while. The zero
// Notice has never been told. It is safe for concurrent use.
type Notice struct {
	last   atomic.Int64 // Unix nanoseconds of when it was told; 0: never
	untold atomic.Int64 // times since then
}

// Due counts one more time. It says whether to tell now, and of how many times:
// it is due when it was not told for as long as every.
func (n *Notice) Due(every time.Duration) (times int64, tell bool) {
	n.untold.Add(1)
	now, last := time.Now().UnixNano(), n.last.Load()
	if resting(now, last, every) || !n.last.CompareAndSwap(last, now) {
		return 0, false
	}
	return n.untold.Swap(0), true
}

// Rest returns how many times were not told, which from now on count as told.
func (n *Notice) Rest() int64 { return n.untold.Swap(0) }

// resting: a clock that was set back ends the rest.
func resting(now, last int64, every time.Duration) bool {
	return last != 0 && now >= last && now-last < int64(every)
}
