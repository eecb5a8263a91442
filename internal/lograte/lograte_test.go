package lograte

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The first occurrence is written, and then one line in each period stands for all
// since the last.
func TestAllow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l Limiter
		if l.Recent(time.Hour) {
			t.Error("a line was written before the first")
		}
		var got []int64
		for range 25 { // at 0 s, 1 s, ... 24 s
			if times, ok := l.Allow(10 * time.Second); ok {
				got = append(got, times)
			}
			time.Sleep(time.Second)
		}
		if len(got) != 3 || got[0] != 1 || got[1] != 10 || got[2] != 10 {
			t.Errorf("lines stand for %v, want 1, 10, 10", got)
		}
		if !l.Recent(6*time.Second) || l.Recent(5*time.Second) {
			t.Error("the last line was written 5 s ago")
		}
		if n := l.Pending(); n != 4 {
			t.Errorf("%d are pending, want 4", n)
		}
	})
}

// Each occurrence is counted in one line, also with concurrent callers.
func TestAllowConcurrently(t *testing.T) {
	t.Parallel()
	var l Limiter
	var lines atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				if times, ok := l.Allow(time.Microsecond); ok {
					lines.Add(times)
				}
			}
		})
	}
	wg.Wait()
	if n := lines.Load() + l.Pending(); n != 4000 {
		t.Errorf("%d occurrences are accounted for, want 4000", n)
	}
}

// A clock that was set back does not silence the log.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	var l Limiter
	l.last.Store(time.Now().Add(time.Hour).UnixNano())
	if times, ok := l.Allow(time.Minute); !ok || times != 1 {
		t.Errorf("Allow: %d, %v; want 1, true", times, ok)
	}
	if times, ok := l.Allow(time.Minute); ok || times != 0 {
		t.Errorf("Allow at once: %d, %v; want 0, false", times, ok)
	}
	if pending := l.Pending(); pending != 1 {
		t.Errorf("Pending: %d, want 1", pending)
	}
	if pending := l.Pending(); pending != 0 {
		t.Errorf("Pending again: %d, want 0", pending)
	}
}
