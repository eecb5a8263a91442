package testkit

import (
	"crypto/tls"
	"net"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// SilentPeer is a destination that accepts connections and answers nothing. The zero
// value does not read either.
type SilentPeer struct {
	// HTTP2 makes it send its settings, so that clients send requests.
	HTTP2 bool
	// Window is the flow control window of each HTTP/2 stream, in bytes; that of the
	// connection has no limit.
	Window uint32
	// Read is how many bytes it reads every Every; 0 is none.
	Read  int
	Every time.Duration
	// TLS, if not nil, is used on every connection.
	TLS *tls.Config
}

// Start listens on the loopback interface until the test ends, and returns the address.
func (p SilentPeer) Start(t testing.TB) (addr string) {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for {
			c, err := lis.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				unhook := make(chan struct{})
				defer close(unhook)
				go func() { // ends a Read
					select {
					case <-stop:
						c.Close()
					case <-unhook:
					}
				}()
				p.serve(c, stop)
			})
		}
	})
	t.Cleanup(func() {
		close(stop)
		lis.Close()
		all.Wait()
	})
	return lis.Addr().String()
}

func (p SilentPeer) serve(c net.Conn, stop chan struct{}) {
	_ = c.(*net.TCPConn).SetReadBuffer(4 << 10) // the rest of the test works with more, too
	if p.TLS != nil {
		secured := tls.Server(c, p.TLS)
		if secured.Handshake() != nil {
			return
		}
		c = secured
	}
	if p.HTTP2 {
		f := http2.NewFramer(c, c)
		const most = 1<<31 - 1
		if f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: p.Window}) != nil ||
			f.WriteWindowUpdate(0, most-1<<16) != nil {
			return
		}
	}
	if p.Read == 0 {
		<-stop
		return
	}
	b := make([]byte, p.Read)
	for {
		if _, err := c.Read(b); err != nil {
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(p.Every):
		}
	}
}
