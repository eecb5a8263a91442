package testkit

import (
	"sync"
	"testing"
	"time"
)

// waitFor is how long a test waits for something: long enough for a slow machine,
// since only a test that fails waits so long.
const waitFor = 30 * time.Second

// Eventually waits until is returns true, asking every millisecond. what completes
// the sentence "gave up waiting until ..." if it never does.
func Eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(waitFor); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting until %s", what)
		}
	}
}

// signal wakes all that wait for a change. The zero value is ready.
type signal struct {
	mu sync.Mutex
	ch chan struct{}
}

// raise reports a change.
func (s *signal) raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}

// next returns a channel that is closed at the next change.
func (s *signal) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

// wait returns once is returns true, and calls failed if that takes too long.
func wait(t testing.TB, changed *signal, is func() bool, failed func()) {
	t.Helper()
	late := time.NewTimer(waitFor)
	defer late.Stop()
	for {
		change := changed.next() // before calling is, so that no change is missed
		if is() {
			return
		}
		select {
		case <-change:
		case <-late.C:
			failed()
			return
		}
	}
}
