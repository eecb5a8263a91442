package delivery

import (
	"math/rand/v2"
	"time"
)

// How long waits are while stopping, when a deadline is near.
const (
	drainBackoff    = 100 * time.Millisecond
	maxDrainBackoff = time.Second
)

// maxRetryAfter is the longest that a destination can make a Queue wait.
const maxRetryAfter = time.Hour

// pace says when to send next. It belongs to the destination, not to one
// request: that a request is dropped does not make the next one come sooner.
//
// A wait is its mean, more or less by up to spread of it. The mean begins at initial and
// grows by factor with each failure, as long as no wait is longer than max.
type pace struct {
	initial, max time.Duration
	factor       float64       // 2 if not set otherwise
	spread       float64       // 0 to 1; a half if not set otherwise
	mean         time.Duration // of the next wait
	notBefore    time.Time     // when to send next; zero: at once
	floor        time.Time     // what the destination asked for
}

func newPace(initial, longest time.Duration) pace {
	p := pace{initial: initial, max: longest, factor: 2, spread: 0.5}
	p.reset()
	return p
}

// reset: the destination answered, all is well.
func (p *pace) reset() {
	p.mean = min(p.initial, p.ceiling())
	p.notBefore, p.floor = time.Time{}, time.Time{}
}

func (p *pace) ceiling() time.Duration {
	return max(time.Duration(float64(p.max)/(1+p.spread)), 1)
}

// failed sets the time of the next try. It is later than the destination asked
// for by a random part, since all senders may have got the same delay.
func (p *pace) failed(now time.Time, retryAfter time.Duration) {
	p.notBefore, p.floor = now.Add(p.wait()), time.Time{}
	if retryAfter > 0 {
		p.floor = now.Add(min(retryAfter, maxRetryAfter) + rand.N(p.mean)/2)
		if p.floor.After(p.notBefore) {
			p.notBefore = p.floor
		}
	}
	p.mean = time.Duration(min(p.factor*float64(p.mean), float64(p.ceiling())))
}

// pause waits a little without a failure.
func (p *pace) pause(now time.Time) { p.notBefore = now.Add(p.wait()) }

func (p *pace) wait() time.Duration {
	return time.Duration(float64(p.mean) * (1 - p.spread + 2*p.spread*rand.Float64()))
}

// shorten shortens the waits from now on, the present one included. What the
// destination asked for stays.
func (p *pace) shorten() {
	p.initial, p.max = min(p.initial, drainBackoff), min(p.max, maxDrainBackoff)
	floor := p.floor
	p.reset()
	p.notBefore, p.floor = floor, floor
}
