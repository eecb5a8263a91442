package collectionagentreceiver

import (
	"net"
	"sync"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// conns is a listener that knows its connections: how many there are, so that
// there is a bound, and which, so that a stop can end them.
type conns struct {
	net.Listener
	most int
	obs  *obsreport.Receiver

	mu   sync.Mutex
	open map[*conn]struct{} // nil: no more
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
	if l.open == nil || len(l.open) >= l.most {
		return nil
	}
	c := &conn{Conn: raw, owner: l}
	l.open[c] = struct{}{}
	l.obs.ConnOpened()
	return c
}

// closeAll closes all connections, and those to come.
func (l *conns) closeAll() {
	l.mu.Lock()
	all := l.open
	l.open = nil
	l.mu.Unlock()
	for c := range all {
		_ = c.Close() // it may have gone
	}
}

// conn is one connection.
type conn struct {
	net.Conn
	owner *conns
	once  sync.Once
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
