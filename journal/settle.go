package journal

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/journal/segment"
)

// Settle is SetState and Ack in one: after a restart either both have happened, or
// neither has. It is as durable as Ack.
func (c *Cursor) Settle(state []byte, entries ...Entry) error {
	return c.SettleHeld(func(Held) []byte { return state }, entries...)
}

// SettleHeld is Settle with a state that depends on how much of entries is still held:
// what was dropped meanwhile is not. state is called with a lock of the journal held, and
// does not use the journal.
func (c *Cursor) SettleHeld(state func(held Held) []byte, entries ...Entry) error {
	c.j.mu.Lock()
	var held Held
	for _, e := range entries {
		for _, s := range c.uncovered(recordSpan(e.Record)) {
			held.add(s)
		}
	}
	b := state(held)
	if len(b) > MaxCursorState {
		c.j.mu.Unlock()
		return fmt.Errorf("set the state of cursor %q: it has %d bytes, expected at most %d", c.name, len(b), MaxCursorState)
	}
	c.state = append([]byte(nil), b...)
	c.j.dirty()
	c.acknowledge(entries)
	return nil
}

// Sync makes durable what Ack, Settle and SetState have noted.
func (c *Cursor) Sync() error {
	if err := c.j.saveProgress(true); err != nil {
		return fmt.Errorf("sync the progress of cursor %q: %w", c.name, err)
	}
	return nil
}

// IsBlocked reports whether no record is handed out until older ones are acknowledged,
// since there are too many ranges of acknowledged ones.
func (c *Cursor) IsBlocked() bool {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return len(c.gaps) >= maxGaps
}

// Poll is TryNext with something to wait for: if there is no record now, more is closed
// when there may be one.
func (c *Cursor) Poll(ctx context.Context) (e Entry, more <-chan struct{}, err error) {
	return c.advanceTo(ctx)
}

// Segment is the random id of the file that has the entry. Together with the sequence it
// names the record for good.
func (e Entry) Segment() uint64 { return e.seg.id }

// Account is what is known of a cursor at one moment.
type Account struct {
	// Totals are those of all records since the journal began.
	Totals segment.Totals
	// Held is not acknowledged; Damaged and Dropped are as Lost returns them.
	Held, Damaged, Dropped Held
	State                  []byte
}

// Account returns it.
func (c *Cursor) Account() Account {
	c.j.mu.Lock()
	defer c.j.mu.Unlock()
	return Account{Totals: c.j.totals, Held: c.held(c.j.next, c.j.totals), Damaged: c.lost, Dropped: c.dropped, State: append([]byte(nil), c.state...)}
}
