//go:build !unix

package conns

import "google.golang.org/grpc/mem"

type readyState struct{}

// ReadReady is for systems that cannot report whether there is data to read.
func (c *Conn) ReadReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	return ReadWaiting(c.Conn, size, pool)
}
