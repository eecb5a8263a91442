package otlpreceiver

import "sync"

// gate counts the requests that are inside the receiver, so that Shutdown can
// wait for them. Once closed it lets nobody in.
//
// A request enters before its body is read. Whoever was inside when the gate
// closed may finish, but must not begin a consumer call any more: see isOpen.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // made by close, closed when closed and nobody is inside
}

// enter says whether a request may come in. Pair true with one leave.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.inside++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	if g.closed && g.inside == 0 {
		close(g.empty)
	}
}

// isOpen says whether consumers may still be called.
func (g *gate) isOpen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.closed
}

// count returns how many requests are inside.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.inside
}

// close shuts the gate and returns a channel that is closed when the last
// request has left.
func (g *gate) close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.closed, g.empty = true, make(chan struct{})
		if g.inside == 0 {
			close(g.empty)
		}
	}
	return g.empty
}
