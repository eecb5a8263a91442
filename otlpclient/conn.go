package otlpclient

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a connection of a client. It knows whether a Write is in progress, and which
// requests gRPC has not returned the bytes of. Once it has ended, nothing that is
// written to it can leave the process, so that those bytes can be reused.
type conn struct {
	net.Conn
	of   *connections
	peer net.Addr

	aborted atomic.Bool   // by a check
	writing atomic.Int32  // Writes in progress
	written atomic.Uint64 // Writes that have returned

	mu     sync.Mutex
	ended  bool
	leases map[*lease]time.Time // by the end of their Send

	// What earlier calls of stuck saw.
	busyFor, blockedFor int    // calls during a Write, during one and the same Write
	lastWritten         uint64 // written
}

// errPeerStuck is what a transport sees of a connection that a check has closed.
var errPeerStuck = errors.New("the connection was closed since the peer did not read")

// Read implements net.Conn.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.explain(err)
}

// Write implements net.Conn.
func (c *conn) Write(b []byte) (int, error) {
	c.writing.Add(1)
	n, err := c.Conn.Write(b)
	c.written.Add(1)
	c.writing.Add(-1)
	if err != nil {
		c.end() // gRPC and net/http write nothing more after an error
	}
	return n, c.explain(err)
}

func (c *conn) explain(err error) error {
	if err != nil && c.aborted.Load() {
		return errPeerStuck
	}
	return err
}

// Close implements net.Conn. gRPC closes a connection when its writer has returned; if
// the writer is in Write instead, the error of Write ends the connection.
func (c *conn) Close() error {
	writing := c.writing.Load() > 0
	if writing {
		discardUnsent(c.Conn)
	}
	err := c.Conn.Close()
	if !writing {
		c.end()
	}
	return err
}

// abort closes the connection under a Write that is in progress, which then returns an
// error.
func (c *conn) abort() {
	discardUnsent(c.Conn)
	_ = c.Conn.Close() // it may be closed already
}

// RemoteAddr implements net.Conn. gRPC shows it to a request that is sent over the
// connection, which finds the connection in it.
func (c *conn) RemoteAddr() net.Addr { return c.peer }

// connAddr is the peer's address of a connection.
type connAddr struct {
	net.Addr
	conn *conn
}

// hold records that the bytes of l may still be read for this connection. It reports
// false if the connection has ended.
func (c *conn) hold(l *lease, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	if !l.ended.Load() {
		if c.leases == nil {
			c.leases = map[*lease]time.Time{}
		}
		c.leases[l] = now
	}
	return true
}

// drop forgets l.
func (c *conn) drop(l *lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leases, l)
}

// end returns the bytes of all requests that were only held for this connection.
func (c *conn) end() {
	c.mu.Lock()
	leases := c.leases
	c.ended, c.leases = true, nil
	c.mu.Unlock()
	c.of.remove(c)
	for l := range leases {
		l.connEnded()
	}
}

// overdue returns how many leases there are, and whether one of them has outlived its
// request by leaseGrace.
func (c *conn) overdue(now time.Time) (leases int, old bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, since := range c.leases {
		if now.Sub(since) >= leaseGrace {
			return len(c.leases), true
		}
	}
	return len(c.leases), false
}

// stuck is called every checkEvery while requests are given up or leases exist. It
// reports whether the peer does not read: one Write lasts for leaseGrace, or the
// connection was always found in a Write for as long, and a lease is overdue.
func (c *conn) stuck(overdue bool) bool {
	const calls = int(leaseGrace / checkEvery)
	switch written := c.written.Load(); {
	case c.writing.Load() == 0:
		c.busyFor, c.blockedFor = 0, 0
	case written != c.lastWritten:
		c.busyFor, c.blockedFor, c.lastWritten = c.busyFor+1, 1, written
	default:
		c.busyFor, c.blockedFor = c.busyFor+1, c.blockedFor+1
	}
	return c.blockedFor > calls || overdue && c.busyFor > calls
}
