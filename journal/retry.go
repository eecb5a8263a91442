package journal

import (
	"context"
	"time"
)

// A read that fails may succeed later, so it is tried again: 12 times, with pauses that
// double and come to 40 s. What cannot be read then counts as damaged.
const readTries = 12

var readPause = 10 * time.Millisecond // tests do not wait

// retries is what is left of these tries for one thing that is read.
type retries struct {
	ctx   context.Context
	tries int
}

// again waits, and reports whether to try again.
func (p *retries) again(error) bool {
	if p.tries >= readTries {
		return false
	}
	timer := time.NewTimer(readPause << p.tries)
	defer timer.Stop()
	p.tries++
	select {
	case <-timer.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}
