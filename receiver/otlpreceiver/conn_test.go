package otlpreceiver

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/obsreport"
	"github.com/penstock-telemetry/penstock/otlp"
)

// lender counts buffers on loan, and overwrites those that come back.
type lender struct{ lent atomic.Int64 }

func (l *lender) Get(n int) *[]byte { l.lent.Add(1); return bufpool.GRPC{}.Get(n) }
func (l *lender) Put(p *[]byte) {
	l.lent.Add(-1)
	for i := range (*p)[:cap(*p)] {
		(*p)[:cap(*p)][i] = 0xdb
	}
	bufpool.GRPC{}.Put(p)
}

// accepted returns the two ends of a connection, ours first.
func accepted(t *testing.T, writeTimeout time.Duration) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := component.Settings{}.OrDefaults()
	obs, err := obsreport.NewReceiver("otlp", "grpc", set.Tracer, set.Meter)
	if err != nil {
		t.Fatal(err)
	}
	ours := newListener(l, 10, writeTimeout, obs)
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ours.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		_ = peer.Close()
		_ = l.Close()
	})
	return c.(*conn), peer
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
	var pool lender
	var waiting atomic.Bool
	time.AfterFunc(30*time.Millisecond, func() {
		waiting.Store(pool.lent.Load() == 0)
		close(begin)
	})
	got := make([]byte, 0, len(sent))
	for {
		buf, n, err := c.readReady(32<<10, &pool)
		if n > 0 {
			got = append(got, (*buf)[:n]...)
			pool.Put(buf)
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
	if !waiting.Load() || pool.lent.Load() != 0 {
		t.Errorf("while it waited it had no buffer: %v; %d are still on loan", waiting.Load(), pool.lent.Load())
	}
}

func TestReadReadyEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(c *conn, peer net.Conn){
		"closed by us":   func(c *conn, _ net.Conn) { _ = c.Close() },
		"closed by peer": func(_ *conn, peer net.Conn) { _ = peer.Close() },
		"reset by peer": func(_ *conn, peer net.Conn) {
			_ = peer.(*net.TCPConn).SetLinger(0)
			_ = peer.Close()
		},
		"deadline": func(c *conn, _ net.Conn) { _ = c.SetReadDeadline(time.Now()) },
	} {
		c, peer := accepted(t, 0)
		var pool lender
		time.AfterFunc(10*time.Millisecond, func() { end(c, peer) })
		if buf, n, err := c.readReady(1000, &pool); buf != nil || n != 0 || err == nil || pool.lent.Load() != 0 {
			t.Errorf("%s: %v %d %v, %d on loan", name, buf, n, err, pool.lent.Load())
		}
	}
}

// A peer that takes nothing ends the writing to it, also after somebody took all
// deadlines away, as gRPC does when it has shaken hands.
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
		t.Error("the writer waits for ever")
		_ = c.Close()
		<-done
	}
}

// Requests enter, leave and find the gate closed in any order; the channel closes
// when the last of those that came in has left.
func TestGate(t *testing.T) {
	t.Parallel()
	for range 200 {
		g := newGate()
		var inside, entered atomic.Int64
		var guests sync.WaitGroup
		begin := make(chan struct{})
		for range 8 {
			guests.Go(func() {
				<-begin
				for range 50 {
					if !g.enter() {
						continue
					}
					entered.Add(1)
					inside.Add(1)
					inside.Add(-1)
					g.leave()
				}
			})
		}
		close(begin)
		for range 2 { // may be called twice
			select {
			case <-g.close():
			case <-time.After(10 * time.Second):
				t.Fatal("nobody is inside, and the gate does not say so")
			}
		}
		if inside.Load() != 0 || g.isOpen() {
			t.Fatalf("%d are inside a closed gate, open %v", inside.Load(), g.isOpen())
		}
		was := entered.Load()
		guests.Wait()
		if g.enter() || entered.Load() != was || g.count() != 0 {
			t.Fatalf("%d came in after the gate was empty and closed, %d inside", entered.Load()-was, g.count())
		}
	}
	g := newGate()
	for range 2 {
		if !g.enter() {
			t.Fatal("an open gate lets nobody in")
		}
	}
	empty := g.close()
	for left := 2; left > 0; left-- {
		select {
		case <-empty:
			t.Fatalf("the gate is empty with %d inside", left)
		default:
		}
		if g.count() != left {
			t.Errorf("%d inside, want %d", g.count(), left)
		}
		g.leave()
	}
	<-empty
}

// gRPC's stream can be read piece by piece. If this fails after an upgrade of
// gRPC, no request is taken any more.
func TestStreamIsReadPieceByPiece(t *testing.T) {
	t.Parallel()
	got := make(chan bool, 1)
	s := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, stream grpc.ServerStream) error {
		_, ok := grpc.ServerTransportStreamFromContext(stream.Context()).(messageStream)
		got <- ok
		return nil
	}))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	defer s.Stop()
	_ = dial(t, l.Addr().String()).Invoke(t.Context(), otlp.Logs.Spec().Method, []byte{}, new([]byte), grpc.ForceCodecV2(clientCodec{}))
	if !<-got {
		t.Error("gRPC's stream is no messageStream any more: see its type, internal/transport.ServerStream")
	}
}
