package otlpreceiver

import (
	"sync"
	"sync/atomic"
)

// gate counts the requests that are inside the receiver, so that Shutdown can
// wait for them. Once closed it lets nobody in.
//
// A request enters before its body is read. Whoever was inside when the gate
// closed may finish, but must not begin a consumer call any more: see isOpen.
type gate struct {
	state   atomic.Int64 // the requests inside times two, and gateClosed
	drained sync.Once
	empty   chan struct{} // closed when the gate is, and nobody is inside
}

const (
	gateClosed = 1
	gateOne    = 2
)

func newGate() *gate { return &gate{empty: make(chan struct{})} }

// enter says whether a request may come in. Pair true with one leave.
func (g *gate) enter() bool {
	if g.state.Add(gateOne)&gateClosed == 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.state.Add(-gateOne) == gateClosed {
		g.drained.Do(func() { close(g.empty) })
	}
}

// isOpen says whether consumers may still be called.
func (g *gate) isOpen() bool { return g.state.Load()&gateClosed == 0 }

// count returns how many requests are inside.
func (g *gate) count() int { return int(g.state.Load() / gateOne) }

// close shuts the gate and returns a channel that is closed when the last
// request has left.
func (g *gate) close() <-chan struct{} {
	if g.state.Or(gateClosed)/gateOne == 0 {
		g.drained.Do(func() { close(g.empty) })
	}
	return g.empty
}
