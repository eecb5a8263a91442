// Package conns is what the servers of receivers know of their connections: how
// many there are, so that there is a bound, and which have not greeted yet, so
// that a stop need not wait for them.
//
//	net.Listener ─► Listener.Accept ─┬─► a Conn, which has a Base: held until its Close
//	                                 └─► above the bound, or stopping: closed at once
//
// The one trap: a Conn that overrides Close or SetDeadline has to call its Base's,
// else the listener counts connections that are gone, or cuts off those that have
// greeted.
package conns

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// Listener hands out as many connections as may be open at a time.
type Listener struct {
	net.Listener
	most int
	wrap func(net.Conn) Conn
	obs  *obsreport.Receiver

	mu       sync.Mutex
	open     map[*Base]struct{}
	stopping bool // who comes now is not let in
}

// Conn is a connection as the listener's owner wants it. It embeds a Base.
type Conn interface {
	net.Conn
	base() *Base
}

// New bounds l to most connections at a time. wrap makes each of them, with only
// the net.Conn of its Base set; nil is a bare Base.
func New(l net.Listener, most int, obs *obsreport.Receiver, wrap func(net.Conn) Conn) *Listener {
	if wrap == nil {
		wrap = func(raw net.Conn) Conn { return &Base{Conn: raw} }
	}
	return &Listener{Listener: l, most: most, wrap: wrap, obs: obs, open: map[*Base]struct{}{}}
}

// Accept takes the next connection. Those above the bound are closed at once:
// left in the backlog they would wait for somebody who does not come.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.admit(raw); c != nil {
			return c, nil
		}
		l.obs.ConnRefused(obsreport.ConnLimit)
		_ = raw.Close() // nothing was said on it
	}
}

func (l *Listener) admit(raw net.Conn) Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping || len(l.open) >= l.most {
		return nil
	}
	c := l.wrap(raw)
	b := c.base()
	b.owner = l
	l.open[b] = struct{}{}
	l.obs.ConnOpened()
	return c
}

func (l *Listener) forget(b *Base) {
	l.mu.Lock()
	delete(l.open, b)
	l.mu.Unlock()
	l.obs.ConnClosed()
}

// Open returns how many connections are open.
func (l *Listener) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// CloseSilent closes the connections that have not greeted, and those to come.
// gRPC waits for them in both its ways to stop and closes them in neither.
func (l *Listener) CloseSilent() {
	l.mu.Lock()
	l.stopping = true
	var silent []*Base
	for b := range l.open {
		if !b.greeted.Load() {
			silent = append(silent, b)
		}
	}
	l.mu.Unlock()
	for _, b := range silent {
		_ = b.Close() // nothing was said on it
	}
}

// Base is the part of a connection that its listener keeps. It is not copied.
type Base struct {
	net.Conn
	owner   *Listener
	greeted atomic.Bool // the client has said what it should first
	closed  atomic.Bool
}

func (b *Base) base() *Base { return b }

// Greet notes that the client has said what it should first.
func (b *Base) Greet() { b.greeted.Store(true) }

// SetDeadline is what gRPC calls around its handshake: without a time, it is over.
func (b *Base) SetDeadline(t time.Time) error {
	if t.IsZero() {
		b.Greet()
	}
	return b.Conn.SetDeadline(t)
}

// Close may be called more than once.
func (b *Base) Close() error {
	if b.closed.Swap(true) {
		return net.ErrClosed
	}
	b.owner.forget(b)
	return b.Conn.Close()
}
