package loadgen

import (
	"math"
	"time"
)

// burstEvery is the minimum interval between two bursts. Bursts reduce the cost of
// waking up: 10,000 requests per second are 5 every 500 µs.
const burstEvery = 500 * time.Microsecond

// schedule determines when requests are due: in bursts of a fixed size at a fixed
// interval, beginning at once. At rates below one request per burstEvery, a burst is one
// request, and below one round a second it is a round: a request of each signal, so that
// all signals arrive soon.
type schedule struct {
	start    time.Time
	size     uint64  // requests in a burst
	interval float64 // ns between two bursts
}

func newSchedule(start time.Time, requestsPerSecond float64, round int) schedule {
	s := schedule{start: start}
	s.size = uint64(math.Ceil(requestsPerSecond * burstEvery.Seconds()))
	if requestsPerSecond < float64(round) {
		s.size = uint64(round)
	}
	s.interval = float64(s.size) / requestsPerSecond * 1e9
	return s
}

// burst returns the number of the burst with request n.
func (s schedule) burst(n uint64) uint64 { return n / s.size }

// due returns the time at which a burst is due.
func (s schedule) due(burst uint64) time.Time {
	return s.start.Add(time.Duration(float64(burst) * s.interval))
}

// requestsWithin returns how many requests are due in the time d from the start, without
// its end: two in two seconds at one per second.
func (s schedule) requestsWithin(d time.Duration) uint64 {
	bursts := math.Ceil((float64(d) - 1e3) / s.interval) // rounding errors are below 1 µs
	return uint64(max(bursts, 1)) * s.size
}
