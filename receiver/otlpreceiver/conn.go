package otlpreceiver

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// conns is a listener that knows its connections: how many there are, so that
// there is a bound, and which have not greeted yet, so that a stop need not wait
// for them.
type conns struct {
	net.Listener
	most         int           // connections at a time
	writeTimeout time.Duration // see conn; 0: none
	obs          *obsreport.Receiver

	mu       sync.Mutex
	open     map[*conn]struct{}
	stopping bool // who comes now is not let in
}

func newConns(l net.Listener, most int, writeTimeout time.Duration, obs *obsreport.Receiver) *conns {
	return &conns{Listener: l, most: most, writeTimeout: writeTimeout, obs: obs, open: map[*conn]struct{}{}}
}

// Accept takes the next connection. Those above the bound are closed at once:
// left in the backlog they would wait for somebody who does not come.
func (l *conns) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if ours := l.admit(c); ours != nil {
			return ours, nil
		}
		l.obs.ConnRefused(obsreport.ConnLimit)
		_ = c.Close() // nothing was said on it
	}
}

func (l *conns) admit(c net.Conn) *conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.open) >= l.most || l.stopping {
		return nil
	}
	ours := &conn{Conn: c, owner: l, client: clientOf(c.RemoteAddr()), share: shareOf(c.RemoteAddr()), addr: c.RemoteAddr().String(), since: time.Now()}
	l.open[ours] = struct{}{}
	l.obs.ConnOpened()
	return ours
}

func (l *conns) forget(c *conn) {
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	l.obs.ConnClosed()
}

// closeSilent closes the connections that have not greeted, and those to come.
// gRPC waits for them in both its ways to stop and closes them in neither.
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

// conn is one connection of a client.
type conn struct {
	net.Conn
	owner  *conns
	client string // whom logs know the peer by: its IP address
	share  string // whom fair shares know it by, see shareOf
	addr   string // its address and port
	since  time.Time

	greeted  atomic.Bool   // the client has said what it should first
	requests atomic.Uint32 // see textCheck.due
	closed   atomic.Bool
	writeBy  atomic.Int64 // the write deadline, Unix nanoseconds
	ready    readyState

	mu           sync.Mutex
	abortedSince time.Time
	abortedCount int
}

// clientOf returns the peer's IP address. All peers of a unix socket are one.
func clientOf(a net.Addr) string {
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap().WithZone("").String()
	}
	return a.Network()
}

// shareOf returns what stands for the peer in fair shares: its address, of which
// IPv6 gives a peer 2^64 (RFC 6177) that count as one.
func shareOf(a net.Addr) string {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.Network()
	}
	ip := ap.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	const networkBits = 64
	return netip.PrefixFrom(ip, networkBits).Masked().String()
}

// CloseWrite is how net/http ends a connection whose peer may still be writing.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Write fails if the peer takes nothing for the listener's write timeout. The
// deadline moves on in steps, since setting it costs as much as a small write.
// Who fails is cut off: gRPC writes no more and goes on reading.
func (c *conn) Write(p []byte) (int, error) {
	if timeout := c.owner.writeTimeout; timeout > 0 {
		now := time.Now()
		if by := now.Add(timeout); by.UnixNano()-c.writeBy.Load() > int64(timeout/4) {
			c.writeBy.Store(by.UnixNano())
			if err := c.Conn.SetWriteDeadline(by); err != nil {
				return 0, err
			}
		}
	}
	n, err := c.Conn.Write(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		c.cutOff()
	}
	return n, err
}

// cutOff ends a connection on which nothing useful happens any more.
func (c *conn) cutOff() { c.end(obsreport.ConnTimeout) }

func (c *conn) end(why obsreport.ConnReason) {
	c.owner.obs.ConnRefused(why)
	_ = c.Close() // it may have gone
}

const (
	// mostAborted is how many requests a client may abort on one connection in
	// abortedWithin. Asking and aborting costs a client next to nothing and us a
	// request ("rapid reset", CVE-2023-44487), and so does breaking a stream so that
	// we abort it.
	mostAborted   = 500
	abortedWithin = 10 * time.Second
)

// aborted counts a request that was aborted before its answer.
func (c *conn) aborted() {
	now := time.Now()
	c.mu.Lock()
	if now.Sub(c.abortedSince) > abortedWithin {
		c.abortedSince, c.abortedCount = now, 0
	}
	c.abortedCount++
	tooMany := c.abortedCount == mostAborted
	c.mu.Unlock()
	if tooMany {
		c.end(obsreport.ConnAbuse)
	}
}

// SetDeadline is what gRPC calls around its handshake: without a time, it is over.
// Writing is left to Write, which would not notice that its deadline is gone.
func (c *conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.greeted.Store(true)
	}
	if c.owner.writeTimeout > 0 {
		return c.Conn.SetReadDeadline(t)
	}
	return c.Conn.SetDeadline(t)
}

// Close may be called more than once.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	c.owner.forget(c)
	return c.Conn.Close()
}
