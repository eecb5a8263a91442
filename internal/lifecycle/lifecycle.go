// Package lifecycle is the life of a component, written once:
//
//	New ──► created ──Start──► started ──Shutdown──► stopped
//	           │                  ▲                     ▲
//	           │            failed start                │
//	           └────────────────Shutdown────────────────┘
//
// Start and Shutdown may be called twice, also at the same time: the second call
// waits for the first and returns its result. A start after a shutdown is an
// error. A shutdown of what was never started, or failed to start, does nothing.
//
// The functions that a component passes in do the work and need no checks of
// their own. They must not call Start, Shutdown or Configure of the same Cycle.
package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Errors of calls that come too late. They are wrapped with the component's name.
var (
	ErrStarted  = errors.New("already started")
	ErrShutDown = errors.New("already shut down")
)

// Cycle is the life of one component. It is safe for concurrent use. The zero
// value is the life of a component without a name, whose errors are returned as
// they are.
type Cycle struct {
	name string

	mu       sync.Mutex // held while open runs
	phase    phase
	startErr error
	stopErr  error
	stop     sync.Once
}

type phase uint8

const (
	created phase = iota
	started
	stopped
)

// New returns the life of the component called name in errors, such as
// `receiver "otlp"`.
func New(name string) *Cycle { return &Cycle{name: name} }

// Start calls open the first time, and returns its error each time:
// "start NAME: …". If open fails, what it has added to undo is called, last
// first, and their errors are joined.
func (c *Cycle) Start(open func(undo *Undo) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case started:
		return c.startErr
	case stopped:
		return c.wrap("start", ErrShutDown)
	}
	c.phase = started
	var undo Undo
	if err := open(&undo); err != nil {
		c.startErr = c.wrap("start", errors.Join(err, undo.run()))
	}
	return c.startErr
}

// Shutdown calls close if the component was started, and returns its error:
// "shut down NAME: …". It waits for a Start that is running.
func (c *Cycle) Shutdown(close func() error) error {
	c.stop.Do(func() {
		if c.end() {
			c.stopErr = c.wrap("shut down", close())
		}
	})
	return c.stopErr
}

// end makes Start fail from now on, and reports whether there is something to
// close.
func (c *Cycle) end() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	running := c.phase == started && c.startErr == nil
	c.phase = stopped
	return running
}

// Configure calls f if the component was not started yet, and not at the same
// time as Start. Else it returns ErrStarted or ErrShutDown.
func (c *Cycle) Configure(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case started:
		return ErrStarted
	case stopped:
		return ErrShutDown
	}
	return f()
}

func (c *Cycle) wrap(doing string, err error) error {
	if err == nil || c.name == "" {
		return err
	}
	return fmt.Errorf("%s %s: %w", doing, c.name, err)
}

// Undo is what a failed start has to close again.
type Undo struct{ steps []func() error }

// Add adds a step, which runs before those that were added earlier.
func (u *Undo) Add(step func() error) { u.steps = append(u.steps, step) }

func (u *Undo) run() error {
	var errs []error
	for _, step := range slices.Backward(u.steps) {
		errs = append(errs, step())
	}
	return errors.Join(errs...)
}
