//go:build !unix

package otlpreceiver

import "google.golang.org/grpc/mem"

type readyState struct{}

// readReady is for systems that cannot say whether there is something to read.
func (c *conn) readReady(size int, pool mem.BufferPool) (*[]byte, int, error) {
	return readWaiting(c.Conn, size, pool)
}
