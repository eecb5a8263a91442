package conns_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/test/testkit"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// own is a connection as a receiver makes it.
type own struct {
	conns.Base
	name string
}

// closes counts the calls of Close, each of which the listener counts too.
type closes struct {
	net.Conn
	n *atomic.Int32
}

func (c closes) Close() error {
	c.n.Add(1)
	return c.Conn.Close()
}

func listen(t *testing.T, most int, wrap func(net.Conn) conns.Conn) *conns.Listener {
	t.Helper()
	set := component.Settings{}.OrDefaults()
	obs, err := obsreport.NewReceiver("r", "grpc", set.Tracer, set.Meter)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); _ = obs.Close() })
	return conns.New(l, most, obs, wrap)
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

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ended waits for the end of a connection that nobody writes to.
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
	var closed atomic.Int32
	l := listen(t, 1, func(raw net.Conn) conns.Conn {
		return &own{Base: conns.Base{Conn: closes{raw, &closed}}, name: "mine"}
	})
	peer := dial(t, l)
	first := accept(t, l)
	if o, ok := first.(*own); !ok || o.name != "mine" {
		t.Fatalf("got a %T", first)
	}
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
	if err := first.Close(); !errors.Is(err, net.ErrClosed) || closed.Load() != 1 {
		t.Errorf("closed again: %v, %d times in all", err, closed.Load())
	}
	peer = dial(t, l)
	second := <-next
	if second == nil {
		t.Fatal("there is room, and nobody is let in")
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

func TestCloseSilent(t *testing.T) {
	t.Parallel()
	l := listen(t, 10, nil)
	silent, inHandshake, greeted := dial(t, l), dial(t, l), dial(t, l)
	accept(t, l)
	_ = accept(t, l).SetDeadline(time.Now().Add(time.Hour))
	ours := accept(t, l)
	_ = ours.SetDeadline(time.Time{})
	l.CloseSilent()
	ended(t, silent)
	ended(t, inHandshake)
	lives(t, ours, greeted)

	accepting := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepting <- err
	}()
	ended(t, dial(t, l)) // too late
	_ = l.Listener.Close()
	if err := <-accepting; !errors.Is(err, net.ErrClosed) {
		t.Errorf("somebody was let in after the stop: %v", err)
	}
}
