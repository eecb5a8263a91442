package conns_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/receiver/internal/conns"
)

// pool counts buffers in use, and overwrites those that are returned.
type pool struct{ used atomic.Int64 }

func (l *pool) Get(n int) *[]byte { l.used.Add(1); return bufpool.GRPC{}.Get(n) }
func (l *pool) Put(p *[]byte) {
	l.used.Add(-1)
	for i := range (*p)[:cap(*p)] {
		(*p)[:cap(*p)][i] = 0xdb
	}
	bufpool.GRPC{}.Put(p)
}

// accepted returns the two ends of a connection, ours first.
func accepted(t *testing.T, writeTimeout time.Duration) (*conns.Conn, net.Conn) {
	t.Helper()
	l := listen(t, conns.Options{Max: 10, WriteTimeout: writeTimeout})
	peer := dial(t, l)
	return accept(t, l), peer
}

// What is read when there is something to read is what was sent, and a
// connection that waits has no buffer.
func TestReadReady(t *testing.T) {
	t.Parallel()
	c, peer := accepted(t, 0)
	sent := make([]byte, 3<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range sent {
		sent[i] = byte(rng.Uint32())
	}
	begin := make(chan struct{})
	go func() {
		<-begin
		for left := sent; len(left) > 0; {
			n := min(len(left), 1+rng.IntN(100_000))
			_, _ = peer.Write(left[:n])
			left = left[n:]
		}
		_ = peer.Close()
	}()
	var buffers pool
	var waiting atomic.Bool
	time.AfterFunc(30*time.Millisecond, func() {
		waiting.Store(buffers.used.Load() == 0)
		close(begin)
	})
	got := make([]byte, 0, len(sent))
	for {
		buf, n, err := c.ReadReady(32<<10, &buffers)
		if n > 0 {
			got = append(got, (*buf)[:n]...)
			buffers.Put(buf)
		} else if buf != nil {
			t.Fatal("a buffer without bytes in it")
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, sent) {
		t.Errorf("%d bytes arrived, not the %d that were sent", len(got), len(sent))
	}
	if !waiting.Load() || buffers.used.Load() != 0 {
		t.Errorf("while it waited it had no buffer: %v; %d are still in use", waiting.Load(), buffers.used.Load())
	}
}

func TestReadReadyEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *conns.Conn, peer net.Conn){
		"closed by us":   func(c *conns.Conn, _ net.Conn) { _ = c.Close() },
		"closed by peer": func(_ *conns.Conn, peer net.Conn) { _ = peer.Close() },
		"reset by peer": func(_ *conns.Conn, peer net.Conn) {
			_ = peer.(*net.TCPConn).SetLinger(0)
			_ = peer.Close()
		},
		"deadline": func(c *conns.Conn, _ net.Conn) { _ = c.SetReadDeadline(time.Now()) },
	} {
		c, peer := accepted(t, 0)
		var buffers pool
		time.AfterFunc(10*time.Millisecond, func() { end(c, peer) })
		if buf, n, err := c.ReadReady(1000, &buffers); buf != nil || n != 0 || err == nil || buffers.used.Load() != 0 {
			t.Errorf("%s: %v %d %v, %d in use", name, buf, n, err, buffers.used.Load())
		}
	}
}

// A peer that accepts nothing ends the writing to it, also after all deadlines were
// removed, as gRPC does when it has shaken hands.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	c, _ := accepted(t, 300*time.Millisecond)
	for range 3 {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				done <- err
				return
			}
		}
	}()
	select {
	case err := <-done:
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
			t.Errorf("%v, want a timeout", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the writer waits forever")
		_ = c.Close()
		<-done
	}
}

// Connections that began together do not end together.
func TestAge(t *testing.T) {
	t.Parallel()
	const age = time.Hour
	seen := map[bool]int{}
	for i := range 1000 {
		since := time.Now().Add(-age + time.Duration(i)*time.Microsecond)
		c := &conns.Conn{Since: since}
		seen[c.AgedOut(age)]++
		old, young := &conns.Conn{Since: since.Add(-age/10 - time.Second)}, &conns.Conn{Since: since.Add(age/10 + time.Second)}
		if !old.AgedOut(age) || young.AgedOut(age) {
			t.Fatal("more than a tenth off")
		}
	}
	if seen[true] < 100 || seen[false] < 100 {
		t.Errorf("of connections of the same age %v are too old", seen)
	}
}

// A client that aborts requests without end is cut off.
func TestCountAborted(t *testing.T) {
	t.Parallel()
	c, peer := accepted(t, 0)
	for range 499 {
		c.CountAborted()
	}
	lives(t, c, peer)
	c.CountAborted()
	ended(t, peer)
}
