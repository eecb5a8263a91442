package config

import (
	"sync"
	"sync/atomic"
	"time"
)

// retryAfter is how soon a reload that failed is tried again: whoever writes two
// files has written both by then.
const retryAfter = time.Second

// reloaded is something that is read again from time to time, by whoever asks
// for it after its time: by one at a time, while the others are given the old
// one. What cannot be read leaves the old one in place.
type reloaded[T any] struct {
	read   func() (*T, error)
	every  time.Duration // 0 is never again
	report func(error)   // may be nil; called once for failures that say the same

	value atomic.Pointer[T]
	born  time.Time
	due   atomic.Int64 // nanoseconds after born

	mu      sync.Mutex // of the one who reads
	failure string     // the last reported; "" after a success
}

// load reads for the first time.
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

// get returns what was read last.
func (r *reloaded[T]) get() *T {
	if r.every > 0 && r.isDue() && r.mu.TryLock() {
		if r.isDue() { // else another was faster
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
