package frontend_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock-telemetry/penstock/receiver/internal/frontend"
)

// Which ends of a request count as aborted sooner than it could be answered.
func TestAbortedEarly(t *testing.T) {
	t.Parallel()
	const never = time.Hour
	for name, tt := range map[string]struct {
		age, timeout time.Duration // timeout is announced by the client, 0: none
		read         bool
		want         bool
	}{
		"goes on":                          {never, 0, true, false},
		"reset at once":                    {0, 0, false, true},
		"reset at once, read":              {0, 0, true, true},
		"times out":                        {300 * time.Millisecond, 0, true, false},
		"times out, not read":              {300 * time.Millisecond, 0, false, false},
		"20 ms, read":                      {20 * time.Millisecond, 0, true, false},
		"20 ms, not read":                  {20 * time.Millisecond, 0, false, true},
		"announced, at the timeout":        {20 * time.Millisecond, 20 * time.Millisecond, false, false},
		"announced, a little before":       {14 * time.Millisecond, 20 * time.Millisecond, false, false},
		"announced, long before":           {2 * time.Millisecond, 20 * time.Millisecond, false, true},
		"announced, a tiny one":            {0, time.Nanosecond, false, true},
		"announced, 3 ms, after two":       {2 * time.Millisecond, 3 * time.Millisecond, true, false},
		"announced, a long one, times out": {300 * time.Millisecond, time.Minute, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.timeout)
				defer cancel()
			}
			r := &frontend.Request{Began: time.Now(), BodyRead: tt.read}
			if tt.age != never {
				time.Sleep(tt.age)
				cancel()
			}
			if got := r.AbortedEarly(ctx); got != tt.want {
				t.Errorf("%s: %v, want %v", name, got, tt.want)
			}
			time.Sleep(time.Second) // what was noticed once counts
			if got := r.AbortedEarly(ctx); got != tt.want {
				t.Errorf("%s: later %v, want %v", name, got, tt.want)
			}
		})
	}
}
