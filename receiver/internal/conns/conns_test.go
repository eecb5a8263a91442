package conns_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func listen(t *testing.T, o conns.Options) *conns.Listener {
	t.Helper()
	set := component.Settings{}.OrDefaults()
	var err error
	if o.Obs, err = obsreport.NewReceiver("r", "grpc", set.Tracer, set.Meter, set.MetricsLevel >= component.LevelDetailed); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); _ = o.Obs.Close() })
	return conns.NewListener(l, o)
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func accept(t *testing.T, l net.Listener) *conns.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c.(*conns.Conn)
}

// ended waits for the end of a connection on which nothing is sent.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(8 * time.Second))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is open: %v", err)
	}
}

// lives writes from ours to peer.
func lives(t *testing.T, ours, peer net.Conn) {
	t.Helper()
	_, _ = ours.Write([]byte{1})
	_ = peer.SetReadDeadline(time.Now().Add(8 * time.Second))
	if _, err := io.ReadFull(peer, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestBound(t *testing.T) {
	t.Parallel()
	l := listen(t, conns.Options{Max: 1})
	peer := dial(t, l)
	first := accept(t, l)
	next := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		next <- c
	}()
	ended(t, dial(t, l)) // one too many
	lives(t, first, peer)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); !errors.Is(err, net.ErrClosed) || l.Open() != 0 {
		t.Errorf("closed again: %v, %d are open", err, l.Open())
	}
	peer = dial(t, l)
	second := <-next
	if second == nil {
		t.Fatal("there is room, and no connection is accepted")
	}
	lives(t, second, peer)
	if n := l.Open(); n != 1 {
		t.Errorf("%d are open, expected 1", n)
	}
	_ = second.Close()
	if n := l.Open(); n != 0 {
		t.Errorf("%d are open, expected none", n)
	}
}

// slowClose is a listener whose connections ask, while they are being closed, how
// many are open.
type slowClose struct {
	net.Listener
	onClose func()
}

type slowConn struct {
	net.Conn
	onClose func()
}

func (l *slowClose) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &slowConn{c, l.onClose}, err
}

func (c *slowConn) Close() error {
	c.onClose()
	return c.Conn.Close()
}

// A socket counts until it is closed: else there would be more of them than the
// bound.
func TestAConnectionCountsUntilItIsClosed(t *testing.T) {
	t.Parallel()
	l := listen(t, conns.Options{Max: 1})
	open := -1
	l.Listener = &slowClose{l.Listener, func() { open = l.Open() }}
	dial(t, l)
	c := accept(t, l)
	_ = c.Close()
	if open != 1 || l.Open() != 0 {
		t.Errorf("%d are open while the socket is being closed, expected 1; then %d", open, l.Open())
	}
}

func TestCloseHandshakes(t *testing.T) {
	t.Parallel()
	l := listen(t, conns.Options{Max: 10})
	silent, inHandshake, established := dial(t, l), dial(t, l), dial(t, l)
	accept(t, l)
	_ = accept(t, l).SetDeadline(time.Now().Add(time.Hour))
	ours := accept(t, l)
	_ = ours.SetDeadline(time.Time{})
	l.CloseHandshakes()
	ended(t, silent)
	ended(t, inHandshake)
	lives(t, ours, established)

	accepting := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepting <- err
	}()
	ended(t, dial(t, l)) // too late
	_ = l.Listener.Close()
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a connection was accepted after the stop: %v", err)
	}
}
