//go:build !linux

package conns

import "net"

// unixShare returns "": all clients of a unix socket are one.
func unixShare(net.Conn) string { return "" }
