package reporter

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/penstock-telemetry/penstock/internal/test/testkit"
)

// brittleWay forwards connections to an address, and resets each of the first
// ones after it has carried so many bytes of the client's.
type brittleWay struct {
	net.Listener
	to    string
	after []int64

	mu     sync.Mutex
	resets int
	open   []net.Conn
	all    sync.WaitGroup
}

func newBrittleWay(t *testing.T, to string, after ...int64) *brittleWay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &brittleWay{Listener: l, to: to, after: after}
	w.all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.mu.Lock()
		for _, c := range w.open {
			c.Close()
		}
		w.mu.Unlock()
		w.all.Wait()
	})
	return w
}

func (w *brittleWay) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	w.open = append(w.open, client, server)
	limit := int64(0)
	if w.resets < len(w.after) {
		limit = w.after[w.resets]
		w.resets++
	}
	w.mu.Unlock()
	w.all.Go(func() {
		_, _ = io.Copy(client, server) // until one of them is closed
		client.Close()
	})
	if limit == 0 {
		_, _ = io.Copy(server, client)
		return
	}
	_, _ = io.CopyN(server, client, limit)
	_ = client.(*net.TCPConn).SetLinger(0) // a reset, not an end
}

// Connections that are reset in the middle of a request lose nothing.
func TestOTLPResets(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"grpc", "http"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			b := testkit.NewBackend(t, testkit.BackendConfig{})
			to := b.GRPCEndpoint()
			if transport == "http" {
				to = strings.TrimPrefix(b.HTTPEndpoint(), "http://")
			}
			limits := []int64{200, 3000, 9000, 14000, 15000, 40000}
			way := newBrittleWay(t, to, limits...)
			cfg := quickOTLP
			cfg.Endpoint, cfg.Insecure, cfg.Compression = way.Addr().String(), true, "none"
			if transport == "http" {
				cfg.Endpoint, cfg.Insecure = "http://"+way.Addr().String(), false
			}
			g := newOTLPRig(t, cfg)
			g.moreTaken = true // an answer may be lost
			g.toBackend(b, nil)
			if err := g.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			g.watch()
			g.load(300, nil)
			if err := g.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			g.unwatch()
			s, sum := g.end()
			onlyDropped(t, s.Samples)
			way.mu.Lock()
			resets := way.resets
			way.mu.Unlock()
			if s.Retries == 0 || resets < len(limits) {
				t.Errorf("%d retries after %d resets", s.Retries, resets)
			}
			if int64(len(sum.events)) != g.made.Load()-g.invalid.Load() {
				t.Errorf("%d different samples arrived of %d", len(sum.events), g.made.Load()-g.invalid.Load())
			}
		})
	}
}
