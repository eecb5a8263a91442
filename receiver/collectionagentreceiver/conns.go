package collectionagentreceiver

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// conns is a listener that knows its connections: how many there are, so that
// there is a bound, and which, so that a stop can end them.
type conns struct {
	net.Listener
	most int
	obs  *obsreport.Receiver

	mu       sync.Mutex
	open     map[*conn]struct{}
	stopping bool // who comes now is not let in
}

func newConns(l net.Listener, most int, obs *obsreport.Receiver) *conns {
	return &conns{Listener: l, most: most, obs: obs, open: map[*conn]struct{}{}}
}

// Accept takes the next connection. Those above the bound are closed at once.
func (l *conns) Accept() (net.Conn, error) {
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

func (l *conns) admit(raw net.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopping || len(l.open) >= l.most {
		return nil
	}
	c := &conn{Conn: raw, owner: l}
	l.open[c] = struct{}{}
	l.obs.ConnOpened()
	return c
}

// closeSilent closes the connections that have not greeted, and those to come:
// gRPC would wait for them.
func (l *conns) closeSilent() {
	l.mu.Lock()
	l.stopping = true
	var silent []*conn
	for c := range l.open {
		if !c.greeted.Load() {
			silent = append(silent, c)
		}
	}
	l.mu.Unlock()
	for _, c := range silent {
		_ = c.Close() // nothing was said on it
	}
}

// conn is one connection.
type conn struct {
	net.Conn
	owner   *conns
	once    sync.Once
	greeted atomic.Bool // the handshake is over
}

// SetDeadline is what gRPC calls around its handshake: without a time, it is over.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.greeted.Store(true)
	}
	return c.Conn.SetDeadline(t)
}

// Close may be called more than once.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		c.owner.mu.Lock()
		delete(c.owner.open, c)
		c.owner.mu.Unlock()
		c.owner.obs.ConnClosed()
		err = c.Conn.Close()
	})
	return err
}
