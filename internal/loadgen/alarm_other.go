//go:build !linux

package loadgen

import (
	"context"
	"time"
)

// alarm sleeps until a given time.
type alarm struct{ ctx context.Context }

// newAlarm returns an alarm that ends its sleep at the end of ctx.
func newAlarm(ctx context.Context) (*alarm, error) { return &alarm{ctx}, nil }

// sleep waits until due, or returns the error of ctx.
func (a *alarm) sleep(due time.Time) error {
	t := time.NewTimer(time.Until(due))
	defer t.Stop()
	select {
	case <-t.C:
	case <-a.ctx.Done():
	}
	return a.ctx.Err()
}

func (*alarm) close() {}
