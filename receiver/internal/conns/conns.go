// Package conns is what the servers of receivers know of their connections: how
// many there are, so that there is a bound; whose they are; and which of them
// have not finished their handshake, so that a stop need not wait for them.
//
//	net.Listener ─► Listener.Accept ─┬─► a Conn, counted until it is closed
//	                                 └─► above the bound, or stopping: closed at once
//
// The one trap: a Conn has a write deadline of its own (Options.WriteTimeout), so
// that SetDeadline sets only that of reading.
package conns

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// Options are a listener's.
type Options struct {
	// Max is how many connections may be open at a time.
	Max int
	// WriteTimeout is how long a write may make no progress before the
	// connection is closed; 0 means forever.
	WriteTimeout time.Duration
	// Obs counts the connections.
	Obs *obsreport.Receiver
}

// Listener hands out as many connections as may be open at a time.
type Listener struct {
	net.Listener
	opts Options

	mu       sync.Mutex
	open     map[*Conn]struct{}
	stopping bool          // new connections are closed
	changed  chan struct{} // closed at the next change that a wait may be for; nil: there is no wait
}

// NewListener bounds the connections of l. l belongs to the listener from then on.
func NewListener(l net.Listener, o Options) *Listener {
	return &Listener{Listener: l, opts: o, open: map[*Conn]struct{}{}}
}

// Accept returns the next connection, a *Conn. Those above the bound are closed at
// once: left in the backlog they would wait for nothing.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.admit(raw); c != nil {
			return c, nil
		}
		l.opts.Obs.ConnRefused(obsreport.ConnLimit)
		_ = raw.Close() // nothing was written to it
	}
}

func (l *Listener) admit(raw net.Conn) *Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping || len(l.open) >= l.opts.Max {
		return nil
	}
	c := &Conn{Conn: raw, Since: time.Now(), owner: l}
	c.Peer.init(raw)
	l.open[c] = struct{}{}
	l.opts.Obs.ConnOpened()
	return c
}

// forget takes a connection out of the count. Its socket is closed.
func (l *Listener) forget(c *Conn) {
	l.mu.Lock()
	delete(l.open, c)
	l.wake()
	l.mu.Unlock()
	l.opts.Obs.ConnClosed()
}

// Open returns how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// wake ends the waits for a change. The lock is held.
func (l *Listener) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// WaitServed waits until the server has begun to serve each connection that is open, or
// ctx ends. gRPC's, when it is stopped, closes those that it has not.
func (l *Listener) WaitServed(ctx context.Context) error {
	return l.wait(ctx, func(c *Conn) bool { return !c.served.Load() })
}

// WaitClosed waits until no connection is open, or ctx ends.
func (l *Listener) WaitClosed(ctx context.Context) error {
	return l.wait(ctx, func(*Conn) bool { return true })
}

// wait waits until left is true for none of the open connections.
func (l *Listener) wait(ctx context.Context, left func(*Conn) bool) error {
	for {
		changed := l.anyLeft(left)
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// anyLeft returns nil if left is true for none of the open connections, else a channel
// that is closed at the next change.
func (l *Listener) anyLeft(left func(*Conn) bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		if left(c) {
			if l.changed == nil {
				l.changed = make(chan struct{})
			}
			return l.changed
		}
	}
	return nil
}

// CloseHandshakes closes the connections that are not established, and those to
// come. gRPC waits for them in both its ways to stop and closes them in neither.
func (l *Listener) CloseHandshakes() {
	l.mu.Lock()
	l.stopping = true
	var unfinished []*Conn
	for c := range l.open {
		if !c.established.Load() {
			unfinished = append(unfinished, c)
		}
	}
	l.mu.Unlock()
	for _, c := range unfinished {
		_ = c.Close() // nothing was written to it
	}
}
