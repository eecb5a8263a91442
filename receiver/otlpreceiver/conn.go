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
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// newListener bounds l to most connections at a time. writeTimeout is that of
// conn.Write; 0 is none.
func newListener(l net.Listener, most int, writeTimeout time.Duration, obs *obsreport.Receiver) *conns.Listener {
	return conns.New(l, most, obs, func(raw net.Conn) conns.Conn {
		peer := raw.RemoteAddr()
		return &conn{
			Base: conns.Base{Conn: raw}, obs: obs, writeTimeout: writeTimeout,
			client: clientOf(peer), share: shareOf(peer), addr: peer.String(), since: time.Now(),
		}
	})
}

// conn is one connection of a client.
type conn struct {
	conns.Base
	obs          *obsreport.Receiver
	writeTimeout time.Duration // see Write; 0: none

	client string // whom logs know the peer by: its IP address
	share  string // whom fair shares know it by, see shareOf
	addr   string // its address and port
	since  time.Time

	requests atomic.Uint32 // see textCheck.due
	writeBy  atomic.Int64  // the write deadline, Unix nanoseconds
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
	if timeout := c.writeTimeout; timeout > 0 {
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
	c.obs.ConnRefused(why)
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
	if c.writeTimeout <= 0 {
		return c.Base.SetDeadline(t)
	}
	if t.IsZero() {
		c.Greet()
	}
	return c.Conn.SetReadDeadline(t)
}
