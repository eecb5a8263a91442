package config

import (
	"sync"
	"sync/atomic"
	"time"
)

// retryAfter is the delay before a failed reload is retried. A process that
// replaces two files has replaced both by then.
const retryAfter = time.Second

// reloaded is a value that is read again at an interval. The first caller of
// get after the interval reads it; concurrent callers get the old value. If
// reading fails, the old value stays in use.
type reloaded[T any] struct {
	read   func() (*T, error)
	every  time.Duration // 0 means read once
	report func(error)   // may be nil; called once for consecutive failures with the same text

	value atomic.Pointer[T]
	born  time.Time
	due   atomic.Int64 // nanoseconds after born

	mu      sync.Mutex // held while reading
	failure string     // text of the last reported failure; "" after a success
}

// load reads the value for the first time.
func (r *reloaded[T]) load() error {
	v, err := r.read()
	if err != nil {
		return err
	}
	r.value.Store(v)
	r.born = time.Now()
	r.due.Store(int64(r.every))
	return nil
}

// get returns the current value.
func (r *reloaded[T]) get() *T {
	if r.every > 0 && r.isDue() && r.mu.TryLock() {
		if r.isDue() { // otherwise another caller was faster
			r.reload()
		}
		r.mu.Unlock()
	}
	return r.value.Load()
}

func (r *reloaded[T]) isDue() bool { return int64(time.Since(r.born)) >= r.due.Load() }

func (r *reloaded[T]) reload() {
	v, err := r.read()
	wait := r.every
	if err == nil {
		r.value.Store(v)
		r.failure = ""
	} else {
		wait = min(wait, retryAfter)
		if text := err.Error(); r.report != nil && text != r.failure {
			r.failure = text
			r.report(err)
		}
	}
	r.due.Store(int64(time.Since(r.born) + wait))
}
