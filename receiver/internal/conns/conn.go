package conns

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"

	"github.com/penstock-telemetry/penstock/obsreport"
)

// Conn is one connection of a client. It is not copied.
type Conn struct {
	net.Conn
	// Peer is the client.
	Peer Peer
	// Since is when the connection was accepted.
	Since time.Time

	owner       *Listener
	served      atomic.Bool // gRPC has begun its handshake
	established atomic.Bool
	closing     atomic.Bool
	writeBy     atomic.Int64 // the write deadline, Unix nanoseconds
	ready       readyState

	mu           sync.Mutex
	abortedSince time.Time
	abortedCount int
}

// Below returns the connection below TLS, or c itself. c comes from a Listener.
func Below(c net.Conn) *Conn {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	return c.(*Conn)
}

// SetEstablished notes that the client has sent what begins its protocol.
func (c *Conn) SetEstablished() { c.established.Store(true) }

// Close closes the socket, and then takes the connection out of the listener's
// count: a socket counts until it is closed. It may be called more than once.
func (c *Conn) Close() error {
	if c.closing.Swap(true) {
		return net.ErrClosed
	}
	defer c.owner.forget(c)
	return c.Conn.Close()
}

// CloseWrite is how net/http ends a connection whose peer may still be writing.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Write fails if the peer accepts nothing for the listener's write timeout. The
// deadline moves on in steps, since setting it costs as much as a small write.
// After a timeout the connection is closed: gRPC writes no more and goes on
// reading.
func (c *Conn) Write(p []byte) (int, error) {
	if timeout := c.owner.opts.WriteTimeout; timeout > 0 {
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
		c.TimeOut()
	}
	return n, err
}

// SetDeadline is what gRPC calls around its handshake: with a time it begins, and without
// one it is over. The write deadline is left to Write, which would not notice
// that it is gone.
func (c *Conn) SetDeadline(t time.Time) error {
	if t.IsZero() {
		c.SetEstablished()
	} else if !c.served.Swap(true) {
		c.owner.mu.Lock()
		c.owner.wake()
		c.owner.mu.Unlock()
	}
	if c.owner.opts.WriteTimeout <= 0 {
		return c.Conn.SetDeadline(t)
	}
	return c.Conn.SetReadDeadline(t)
}

// TimeOut closes a connection on which nothing useful happens any more.
func (c *Conn) TimeOut() { c.closeFor(obsreport.ConnTimeout) }

func (c *Conn) closeFor(why obsreport.ConnReason) {
	c.owner.opts.Obs.ConnRefused(why)
	_ = c.Close() // it may be closed already
}

const (
	// maxAborted is how many requests a client may abort on one connection in
	// abortedWithin, sooner than they could be answered. Asking and aborting costs a
	// client next to nothing and us a request ("rapid reset", CVE-2023-44487), and so
	// does breaking a stream so that we abort it.
	maxAborted    = 500
	abortedWithin = 10 * time.Second
)

// CountAborted counts a request that was aborted sooner than it could be answered.
// A connection with too many of them is closed. Requests that time out while they
// are in progress are not counted: a slow backend makes every client abort.
func (c *Conn) CountAborted() {
	now := time.Now()
	c.mu.Lock()
	if now.Sub(c.abortedSince) > abortedWithin {
		c.abortedSince, c.abortedCount = now, 0
	}
	c.abortedCount++
	tooMany := c.abortedCount == maxAborted
	c.mu.Unlock()
	if tooMany {
		c.closeFor(obsreport.ConnAbuse)
	}
}

// AgedOut reports whether the connection is older than most, give or take a
// tenth: connections that began together do not end together.
func (c *Conn) AgedOut(most time.Duration) bool { return time.Since(c.Since) > most+c.jitter(most) }

// jitter is up to a tenth of d either way, the same for each call.
func (c *Conn) jitter(d time.Duration) time.Duration {
	return d / 10 * time.Duration(c.Since.UnixNano()/1000%201-100) / 100
}

// ReadWaiting reads one byte, and takes a buffer when it is there.
func ReadWaiting(r io.Reader, size int, pool mem.BufferPool) (*[]byte, int, error) {
	var first [1]byte
	if _, err := io.ReadFull(r, first[:]); err != nil {
		return nil, 0, err
	}
	buf := pool.Get(size)
	(*buf)[0] = first[0]
	return buf, 1, nil
}
