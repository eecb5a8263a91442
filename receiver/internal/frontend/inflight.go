package frontend

import (
	"sync"
	"sync/atomic"
)

// InFlight counts the requests that a receiver is handling, so that Shutdown can
// wait for them. Once closed it admits no more.
//
// A request enters before its body is read. One that was in when the tracker was
// closed may finish, but must not begin a consumer call any more: see Open.
type InFlight struct {
	state   atomic.Int64 // the requests times two, and inFlightClosed
	drained sync.Once
	empty   chan struct{} // closed when the tracker is, and no request is left
}

const (
	inFlightClosed = 1
	inFlightOne    = 2
)

// NewInFlight returns an open tracker without requests.
func NewInFlight() *InFlight { return &InFlight{empty: make(chan struct{})} }

// Enter counts a request. It returns false if the tracker is closed. Pair true
// with one Leave.
func (f *InFlight) Enter() bool {
	if f.state.Add(inFlightOne)&inFlightClosed == 0 {
		return true
	}
	f.Leave()
	return false
}

// Leave ends the count of a request.
func (f *InFlight) Leave() {
	if f.state.Add(-inFlightOne) == inFlightClosed {
		f.drained.Do(func() { close(f.empty) })
	}
}

// Open reports whether consumers may still be called.
func (f *InFlight) Open() bool { return f.state.Load()&inFlightClosed == 0 }

// Count returns how many requests are being handled.
func (f *InFlight) Count() int { return int(f.state.Load() / inFlightOne) }

// Close admits no more requests. The channel that it returns is closed when the
// last one has left. It may be called more than once.
func (f *InFlight) Close() <-chan struct{} {
	if f.state.Or(inFlightClosed)/inFlightOne == 0 {
		f.drained.Do(func() { close(f.empty) })
	}
	return f.empty
}
