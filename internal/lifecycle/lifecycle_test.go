package lifecycle

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var errBoom = errors.New("boom")

// A component counts its calls. It opens two resources, and then fails if fail
// is set.
type component struct {
	*Cycle
	fails          error
	opened, closed int
	closeErr       error
	steps          []string
}

func (c *component) start() error {
	return c.Start(func(undo *Undo) error {
		c.opened++
		undo.Add(func() error { c.steps = append(c.steps, "first"); return nil })
		undo.Add(func() error { c.steps = append(c.steps, "second"); return errors.New("stuck") })
		return c.fails
	})
}

func (c *component) shutdown() error {
	return c.Shutdown(func() error { c.closed++; return c.closeErr })
}

func TestStartAndShutdownTwice(t *testing.T) {
	c := &component{Cycle: New(`receiver "a"`), closeErr: errBoom}
	for range 2 {
		if err := c.start(); err != nil {
			t.Error(err)
		}
	}
	for range 2 {
		if err := c.shutdown(); !errors.Is(err, errBoom) || err.Error() != `shut down receiver "a": boom` {
			t.Errorf("Shutdown: %v", err)
		}
	}
	if c.opened != 1 || c.closed != 1 || c.steps != nil {
		t.Errorf("opened %d times, closed %d times, undone %q", c.opened, c.closed, c.steps)
	}
	if err := c.start(); !errors.Is(err, ErrShutDown) || err.Error() != `start receiver "a": already shut down` {
		t.Errorf("Start after Shutdown: %v", err)
	}
}

// A failed start is undone in reverse order, gives its error again, and leaves
// nothing for Shutdown.
func TestFailedStart(t *testing.T) {
	c := &component{Cycle: New(`receiver "a"`), fails: errBoom}
	first := c.start()
	if !errors.Is(first, errBoom) || first.Error() != "start receiver \"a\": boom\nstuck" {
		t.Errorf("Start: %v", first)
	}
	if err := c.start(); err != first {
		t.Errorf("the second Start: %v", err)
	}
	if !slices.Equal(c.steps, []string{"second", "first"}) {
		t.Errorf("undone: %q", c.steps)
	}
	if err := c.shutdown(); err != nil || c.closed != 0 || c.opened != 1 {
		t.Errorf("Shutdown: %v, closed %d times, opened %d times", err, c.closed, c.opened)
	}
	if err := c.start(); !errors.Is(err, ErrShutDown) {
		t.Errorf("Start after Shutdown: %v", err)
	}
}

func TestShutdownWithoutStart(t *testing.T) {
	c := &component{Cycle: New("x")}
	for range 2 {
		if err := c.shutdown(); err != nil || c.closed != 0 {
			t.Errorf("%v, closed %d times", err, c.closed)
		}
	}
	if err := c.start(); !errors.Is(err, ErrShutDown) || c.opened != 0 {
		t.Errorf("%v, opened %d times", err, c.opened)
	}
}

// Without a name errors are the component's own.
func TestNoName(t *testing.T) {
	c := &component{Cycle: &Cycle{}, closeErr: errBoom}
	if err := c.start(); err != nil {
		t.Error(err)
	}
	if err := c.shutdown(); err != errBoom {
		t.Errorf("%v, want %v itself", err, errBoom)
	}
}

func TestConfigure(t *testing.T) {
	calls := 0
	count := func() error { calls++; return errBoom }
	c := &component{Cycle: New("x")}
	if err := c.Configure(count); err != errBoom || calls != 1 {
		t.Errorf("before Start: %v, %d calls", err, calls)
	}
	_ = c.start()
	if err := c.Configure(count); err != ErrStarted || calls != 1 {
		t.Errorf("after Start: %v, %d calls", err, calls)
	}
	_ = c.shutdown()
	if err := c.Configure(count); err != ErrShutDown || calls != 1 {
		t.Errorf("after Shutdown: %v, %d calls", err, calls)
	}
}

// The calls that come second wait for the first, and Shutdown waits for Start.
func TestSecondCallsWait(t *testing.T) {
	c := New("x")
	var opened, closed atomic.Bool
	var all sync.WaitGroup
	starting := make(chan struct{})
	for range 3 {
		all.Go(func() {
			err := c.Start(func(*Undo) error {
				close(starting)
				time.Sleep(20 * time.Millisecond)
				opened.Store(true)
				return nil
			})
			if err != nil && !errors.Is(err, ErrShutDown) || !opened.Load() {
				t.Errorf("Start returned %v, opened %v", err, opened.Load())
			}
		})
	}
	<-starting
	for range 3 {
		all.Go(func() {
			err := c.Shutdown(func() error {
				if !opened.Load() {
					t.Error("closed before it was open")
				}
				time.Sleep(20 * time.Millisecond)
				closed.Store(true)
				return errBoom
			})
			if !errors.Is(err, errBoom) || !closed.Load() {
				t.Errorf("Shutdown returned %v, closed %v", err, closed.Load())
			}
		})
	}
	all.Wait()
}

// Whichever call wins the race, exactly the opened resources are closed.
func TestRace(t *testing.T) {
	for range 500 {
		c := New("x")
		var open, opened, configured int
		var all sync.WaitGroup
		begin := make(chan struct{})
		for range 4 {
			all.Go(func() {
				<-begin
				err := c.Start(func(*Undo) error { open++; opened++; return nil })
				if err != nil && !errors.Is(err, ErrShutDown) {
					t.Error(err)
				}
			})
			all.Go(func() {
				<-begin
				if err := c.Shutdown(func() error { open--; return nil }); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() {
				<-begin
				_ = c.Configure(func() error { configured++; return nil })
			})
		}
		close(begin)
		all.Wait()
		if open != 0 || opened > 1 {
			t.Fatalf("opened %d times, %d left open", opened, open)
		}
	}
}

// A Start that panics leaves the lock free.
func TestPanic(t *testing.T) {
	c := New("x")
	func() {
		defer func() { _ = recover() }()
		_ = c.Start(func(*Undo) error { panic("boom") })
	}()
	done := make(chan error, 1)
	go func() { done <- c.Shutdown(func() error { return nil }) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Shutdown waits forever")
	}
}
