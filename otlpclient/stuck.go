package otlpclient

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
)

// leaseGrace is how long a transport may keep the bytes of a request that has ended,
// and how long a Write may take when a request was given up. Then the connection is
// closed.
const leaseGrace = 2 * time.Second

// checkEvery is how often connections are checked while one may be stuck.
const checkEvery = leaseGrace / 8

// maxGivenUp limits the requests that were given up and that the transport may not know
// to be over yet: it has a few KiB of its own for each.
const maxGivenUp = 1000

// errNotReading is the answer for a request that is not tried.
var errNotReading = errors.New("the destination does not read: the transport still has too many requests that were given up")

// connections are those of one client. A peer that accepts a connection and does not
// read blocks the transport's writer, which then keeps the requests that were given up:
// gRPC their bytes, net/http over HTTP/2 a goroutine each. So while there are such
// requests, the connections are checked, and those that are stuck are closed:
//
//	Send gives up ─► gaveUp ─► check, every checkEvery ─┬─ no Write in progress: nothing is given up any more
//	                                                    └─ stuck: abort ─► Write fails ─► conn.end ─► lease.end
//
// A destination that reads is never cut, however long its answer takes.
type connections struct {
	userTimeout time.Duration // of the sockets; 0: the system's
	givenUp     atomic.Int32  // requests, since no connection was found in a Write

	mu       sync.Mutex
	open     map[*conn]struct{}
	checking bool // a check is scheduled
	closed   bool
}

// add returns a connection over c, with socket options that find a peer that is gone.
func (s *connections) add(raw net.Conn) *conn {
	detectDeadPeer(raw, s.userTimeout)
	c := &conn{Conn: raw, of: s}
	c.peer = connAddr{raw.RemoteAddr(), c}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[*conn]struct{}{}
	}
	s.open[c] = struct{}{}
	return c
}

func (s *connections) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// full returns why a further request must not be tried, or nil.
func (s *connections) full() *Error {
	if s.givenUp.Load() < maxGivenUp {
		return nil
	}
	return &Error{Retryable: true, Throttled: true, RetryAfter: leaseGrace, Code: codes.Unavailable, Err: errNotReading}
}

// gaveUp is called when Send returns before the transport is done with the request.
func (s *connections) gaveUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.givenUp.Add(1)
	s.schedule()
}

// schedule makes check run. s.mu is held.
func (s *connections) schedule() {
	if !s.checking && !s.closed {
		s.checking = true
		time.AfterFunc(checkEvery, s.check)
	}
}

// check aborts the connections that are stuck.
func (s *connections) check() {
	for _, c := range s.inspect(time.Now()) {
		c.aborted.Store(true)
		c.abort()
	}
}

// inspect returns the connections that are stuck, and schedules the next check if there
// is still something to wait for.
func (s *connections) inspect(now time.Time) (stuck []*conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checking = false
	writing, held := false, 0
	for c := range s.open {
		leases, overdue := c.overdue(now)
		if c.stuck(overdue) {
			stuck = append(stuck, c)
		}
		writing = writing || c.writing.Load() > 0
		held += leases
	}
	if !writing {
		s.givenUp.Store(0)
	}
	if s.givenUp.Load() > 0 || held > 0 {
		s.schedule()
	}
	return stuck
}

// close aborts the connections that are in a Write: the transport would wait for it. No
// further check runs.
func (s *connections) close() {
	s.mu.Lock()
	s.closed = true
	var writing []*conn
	for c := range s.open {
		if c.writing.Load() > 0 {
			writing = append(writing, c)
		}
	}
	s.mu.Unlock()
	for _, c := range writing {
		c.abort()
	}
}
