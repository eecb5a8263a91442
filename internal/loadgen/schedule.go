package loadgen

import (
	"math"
	"time"
)

// burstEvery is the least time between two bursts. It is what waking up costs
// that makes a burst worth while: 10,000 requests a second come as 5 every
// 500 µs.
const burstEvery = 500 * time.Microsecond

// schedule says when requests are due: bursts of a fixed number at a fixed
// interval, the first at once. Below one request per burstEvery a burst is one
// request.
type schedule struct {
	start    time.Time
	size     uint64  // requests in a burst
	interval float64 // ns between two bursts
}

func newSchedule(start time.Time, requestsPerSecond float64) schedule {
	s := schedule{start: start}
	s.size = uint64(math.Ceil(requestsPerSecond * burstEvery.Seconds()))
	s.interval = float64(s.size) / requestsPerSecond * 1e9
	return s
}

// burst returns the number of the burst that request n is in.
func (s schedule) burst(n uint64) uint64 { return n / s.size }

// due returns when a burst is due.
func (s schedule) due(burst uint64) time.Time {
	return s.start.Add(time.Duration(float64(burst) * s.interval))
}

// requestsWithin returns how many requests are due in the time d from the start,
// its end not included: in two seconds at one a second, two.
func (s schedule) requestsWithin(d time.Duration) uint64 {
	bursts := math.Ceil((float64(d) - 1e3) / s.interval) // no rounding is as large as 1 µs
	return uint64(max(bursts, 1)) * s.size
}
