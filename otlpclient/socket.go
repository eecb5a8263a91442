package otlpclient

import (
	"net"
	"time"
)

// deadPeerAfter is how long a peer may leave data unacknowledged, or its receive window
// closed, before the kernel closes the connection. A longer timeout of requests
// replaces it.
const deadPeerAfter = 30 * time.Second

// dialTimeout is for connecting, without the TLS handshake.
const dialTimeout = 30 * time.Second

// detectDeadPeer enables keepalive probes, which find a peer that is gone while the
// connection is idle, and the user timeout of TCP, which finds it while data is
// unacknowledged. Both are precautions: errors are ignored, as are other sockets.
func detectDeadPeer(c net.Conn, userTimeout time.Duration) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return
	}
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true})
	if userTimeout > 0 {
		_ = setUserTimeout(tcp, userTimeout)
	}
}

// discardUnsent makes the following Close drop what is in the socket's send buffer,
// which the kernel would keep and try to send: it is half a request.
func discardUnsent(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // fails only if it is closed
	}
}
