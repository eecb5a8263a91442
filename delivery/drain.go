package delivery

import (
	"context"
	"time"
)

// drainCheck is how often Drain looks by itself: what is found damaged, or is dropped,
// leaves without a signal.
const drainCheck = time.Second

// Drain waits until nothing is held any more or ctx ends, and makes the waits between
// attempts short from now on, as for a process that is to end. It reports whether nothing
// is held. What is left stays in the journal.
func (d *Destination) Drain(ctx context.Context) bool {
	d.mu.Lock()
	d.draining = true
	d.pace.shorten()
	d.mu.Unlock()
	d.signal()
	check := time.NewTicker(drainCheck)
	defer check.Stop()
	for {
		d.mu.Lock()
		room := d.room
		d.mu.Unlock()
		if d.cursor.Held().Records == 0 {
			return true
		}
		select {
		case <-room:
		case <-d.stopped.Done():
			return false
		case <-check.C:
		case <-ctx.Done():
			return false
		}
	}
}
