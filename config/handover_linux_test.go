package config_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	. "github.com/penstock-telemetry/penstock/config"
)

// A socket that is drained keeps the connections that have begun, and gets no new ones:
// their clients try again, and reach another socket.
func TestIgnoreNew(t *testing.T) {
	t.Parallel()
	l := listen(t, ListenOptions{Endpoint: "127.0.0.1:0"})
	first, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	IgnoreNew(l)
	d := net.Dialer{Timeout: 100 * time.Millisecond}
	if c, err := d.Dial("tcp", l.Addr().String()); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a new connection: %v, %v", c, err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := first.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
