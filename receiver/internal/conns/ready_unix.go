//go:build unix

package conns

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc/mem"
)

// readyState is what ReadReady needs between its calls, so that it allocates
// once for each connection.
type readyState struct {
	raw  syscall.RawConn
	read func(fd uintptr) bool

	size int
	pool mem.BufferPool
	buf  *[]byte
	n    int
	err  error
}

// ReadReady waits until there is something to read and only then takes a buffer,
// so that an idle connection holds none.
func (c *Conn) ReadReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	s := &c.ready
	if s.raw == nil {
		socket, ok := c.Conn.(syscall.Conn)
		if !ok {
			return ReadWaiting(c.Conn, size, pool)
		}
		var err error
		if s.raw, err = socket.SyscallConn(); err != nil {
			return nil, 0, err
		}
		s.read = s.try
	}
	s.size, s.pool = size, pool
	err := s.raw.Read(s.read)
	buf, n := s.buf, s.n
	if err == nil {
		err = s.err
	}
	s.pool, s.buf, s.n, s.err = nil, nil, 0, nil
	if n > 0 {
		return buf, n, nil
	}
	if buf != nil {
		pool.Put(buf)
	}
	if err == nil {
		err = io.EOF
	}
	return nil, 0, err
}

// try reads once. It returns false if there is no data yet.
func (s *readyState) try(fd uintptr) bool {
	s.buf = s.pool.Get(s.size)
	for {
		s.n, s.err = unix.Read(int(fd), *s.buf)
		if s.err != unix.EINTR {
			break
		}
	}
	if s.err != unix.EAGAIN {
		return true
	}
	s.pool.Put(s.buf)
	s.buf, s.n = nil, 0
	return false
}
