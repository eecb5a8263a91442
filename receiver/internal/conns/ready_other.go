//go:build !unix

package conns

import "google.golang.org/grpc/mem"

type readyState struct{}

// ReadReady is for systems that cannot say whether there is something to read.
func (c *Conn) ReadReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	return ReadWaiting(c.Conn, size, pool)
}
