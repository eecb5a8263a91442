package config_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/penstock-telemetry/penstock/config"
)

// server accepts on a listener of a registry, and writes its id to each connection.
type server struct {
	net.Listener
	id      byte
	serving sync.WaitGroup
}

func serve(t *testing.T, all *Listeners, id byte, o ListenOptions) *server {
	t.Helper()
	l, err := Listen(WithListeners(context.Background(), all), o)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{Listener: l, id: id}
	s.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte{id})
			_ = c.Close()
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *server) close() {
	_ = s.Close() // it may be closed already
	s.serving.Wait()
}

// ask connects and returns the id of the server that accepted.
func ask(network, address string) (byte, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	id, err := io.ReadAll(c)
	if err != nil || len(id) != 1 {
		return 0, fmt.Errorf("read %d bytes: %w", len(id), err)
	}
	return id[0], nil
}

// asking asks all the time in several goroutines until stop is called, which returns how
// often an answer came. Each failure is an error of the test.
func asking(t *testing.T, network string, addresses ...string) (stop func() int64) {
	var done atomic.Bool
	var answers atomic.Int64
	var all sync.WaitGroup
	for _, a := range addresses {
		for range 2 {
			all.Go(func() {
				for !done.Load() {
					if _, err := ask(network, a); err != nil {
						t.Errorf("%s %s: %v", network, a, err)
						return
					}
					answers.Add(1)
				}
			})
		}
	}
	return func() int64 {
		done.Store(true)
		all.Wait()
		return answers.Load()
	}
}

// files returns how many files the process has open; 0 where that cannot be read.
func files() int {
	all, _ := os.ReadDir("/proc/self/fd")
	return len(all)
}

// filesAre waits until at most n files are open: what clients have closed is closed by
// the server a moment later.
func filesAre(t *testing.T, n int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); files() > n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d files are open, expected at most %d", files(), n)
		}
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// While a listener is replaced hundreds of times each connection is accepted, and the
// address stays the same.
func TestHandover(t *testing.T) {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	kinds := map[string]ListenOptions{
		"port 0":    {Endpoint: "127.0.0.1:0"},
		"localhost": {Endpoint: "localhost:0"},
		"socket":    {Transport: "unix", Endpoint: filepath.Join(dir, "s")},
	}
	if runtime.GOOS == "linux" {
		kinds["abstract"] = ListenOptions{Transport: "unix", Endpoint: fmt.Sprintf("@penstock-handover-%d", os.Getpid())}
	}
	for name, o := range kinds {
		t.Run(name, func(t *testing.T) {
			var all Listeners
			before := files()
			old := serve(t, &all, 1, o)
			addresses := []string{old.Addr().String()}
			if name == "localhost" {
				addresses = []string{"127.0.0.1:" + portOf(old)}
				if _, err := ask("tcp", "[::1]:"+portOf(old)); err == nil {
					addresses = append(addresses, "[::1]:"+portOf(old))
				}
			}
			stop := asking(t, old.Addr().Network(), addresses...)
			for i := range 200 {
				all.Begin()
				next := serve(t, &all, byte(i), o)
				all.End()
				if next.Addr().String() != old.Addr().String() {
					t.Fatalf("listens on %s, expected %s", next.Addr(), old.Addr())
				}
				old.close()
				if id, err := ask(next.Addr().Network(), addresses[0]); err != nil || id != byte(i) {
					t.Fatalf("accepted by %d, %v; expected %d", id, err, byte(i))
				}
				old = next
			}
			if n := stop(); n < 10 {
				t.Errorf("only %d connections in all", n)
			}
			old.close()
			if _, err := ask(old.Addr().Network(), addresses[0]); err == nil {
				t.Error("it accepts after the last listener was closed")
			}
			filesAre(t, before)
		})
	}
}

// The old listener accepts until it is closed, and what waits in the queue then is
// accepted by the new one.
func TestHandoverQueue(t *testing.T) {
	t.Parallel()
	var all Listeners
	ctx := WithListeners(t.Context(), &all)
	old, err := Listen(ctx, ListenOptions{Endpoint: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	all.Begin()
	next, err := Listen(ctx, ListenOptions{Endpoint: "127.0.0.1:0"})
	all.End()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	answers(t, old, "tcp", old.Addr().String())
	const waiting = 20
	for range waiting {
		c, err := net.Dial("tcp", old.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	for range waiting {
		c, err := next.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	}
	if _, err := old.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the closed listener: %v", err)
	}
	if err := old.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}

// Outside of a handover, for a second component in one, and for a component that stays,
// an address in use is the error that it is without a registry.
func TestHandoverRefused(t *testing.T) {
	t.Parallel()
	var all, other Listeners
	o := ListenOptions{Endpoint: "127.0.0.1:0", Key: "receivers.otlp.protocols.grpc.endpoint"}
	old := serve(t, &all, 1, o)
	o.Endpoint = old.Addr().String()
	refused := func(what string, r *Listeners) {
		t.Helper()
		l, err := Listen(WithListeners(t.Context(), r), o)
		if err == nil {
			_ = l.Close()
		}
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "another process, or another component") {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("no handover", &all)
	refused("another service", &other)
	other.Begin()
	refused("a handover of another service", &other)
	all.Begin("receivers.otlp/2", "receivers.ot")
	refused("a component that stays", &all)
	all.Begin("receivers.otlp")
	next := serve(t, &all, 2, o)
	refused("a second component", &all)
	all.End()
	refused("after the handover", &all)
	next.close() // it was not needed
	if id, err := ask("tcp", o.Endpoint); id != 1 || err != nil {
		t.Errorf("accepted by %d, %v; expected the old listener", id, err)
	}
	all.Begin("receivers.otlp")
	serve(t, &all, 3, o)
	all.End()
	old.close()
	if id, err := ask("tcp", o.Endpoint); id != 3 || err != nil {
		t.Errorf("accepted by %d, %v; expected the new listener", id, err)
	}
}

// Each component keeps its own port where all have port 0.
func TestHandoverPortZero(t *testing.T) {
	t.Parallel()
	var all Listeners
	at := func(key string) ListenOptions { return ListenOptions{Endpoint: "127.0.0.1:0", Key: key} }
	a, b := serve(t, &all, 1, at("a")), serve(t, &all, 2, at("b"))
	all.Begin()
	b2, a2, c := serve(t, &all, 3, at("b")), serve(t, &all, 4, at("a")), serve(t, &all, 5, at("c"))
	all.End()
	if portOf(a) != portOf(a2) || portOf(b) != portOf(b2) || portOf(c) == portOf(a) || portOf(c) == portOf(b) {
		t.Errorf("ports %s and %s became %s and %s, and a new one is %s", portOf(a), portOf(b), portOf(a2), portOf(b2), portOf(c))
	}
}

// A change to an overlapping address on the same port loses no connection to an address
// that stays. Nothing can share the port after it.
func TestHandoverOtherAddress(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets sockets with overlapping addresses be open at a time")
	}
	for _, hosts := range [][2]string{
		{"0.0.0.0", "127.0.0.1"}, {"127.0.0.1", "0.0.0.0"}, {"localhost", "127.0.0.1"}, {"127.0.0.1", "localhost"},
		{"localhost", "[::]"}, {"[::]", "localhost"}, {"127.0.0.1", ""},
	} {
		for _, rollback := range []bool{false, true} {
			t.Run(fmt.Sprint(hosts, rollback), func(t *testing.T) {
				t.Parallel()
				var all Listeners
				old := serve(t, &all, 1, ListenOptions{Endpoint: hosts[0] + ":0"})
				port := portOf(old)
				to := ListenOptions{Endpoint: hosts[1] + ":" + port}
				stop := asking(t, "tcp", "127.0.0.1:"+port)
				all.Begin()
				next := serve(t, &all, 2, to)
				all.End()
				stays, leaves, want := next, old, byte(2)
				if rollback {
					stays, leaves, want = old, next, 1
				}
				for range 20 {
					if _, err := ask("tcp", "127.0.0.1:"+port); err != nil {
						t.Error(err)
					}
				}
				leaves.close()
				for range 20 {
					if id, err := ask("tcp", "127.0.0.1:"+port); err != nil || id != want {
						t.Errorf("accepted by %d, %v; expected %d", id, err, want)
					}
				}
				stop()
				for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
					if l, err := net.Listen("tcp", host+":"+port); err == nil {
						_ = l.Close()
						t.Errorf("%s can be bound a second time", host)
					}
				}
				stays.close()
				if l, err := net.Listen("tcp", "127.0.0.1:"+port); err != nil {
					t.Errorf("after the last listener was closed: %v", err)
				} else {
					_ = l.Close()
				}
			})
		}
	}
}

// What is not listened on any more is refused, also while the old socket is drained.
func TestHandoverAddressLeaves(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets sockets with overlapping addresses be open at a time")
	}
	var all Listeners
	old := serve(t, &all, 1, ListenOptions{Endpoint: "0.0.0.0:0"})
	all.Begin()
	next := serve(t, &all, 2, ListenOptions{Endpoint: "127.0.0.1:" + portOf(old)})
	all.End()
	if id, err := ask("tcp", "127.0.0.2:"+portOf(old)); id != 1 || err != nil {
		t.Errorf("accepted by %d, %v; expected the old listener", id, err)
	}
	old.close()
	if id, err := ask("tcp", "127.0.0.2:"+portOf(old)); err == nil {
		t.Errorf("accepted by %d", id)
	}
	next.close()
}

// A chain of changes leaves one socket for each address that is listened on.
func TestHandoverAddressChain(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets sockets with overlapping addresses be open at a time")
	}
	var all Listeners
	before := files()
	old := serve(t, &all, 0, ListenOptions{Endpoint: "localhost:0"})
	port := portOf(old)
	stop := asking(t, "tcp", "127.0.0.1:"+port)
	for i, host := range []string{"0.0.0.0", "127.0.0.1", "", "localhost", "[::]", "127.0.0.1", "localhost", "0.0.0.0", "localhost"} {
		all.Begin()
		next := serve(t, &all, byte(i), ListenOptions{Endpoint: host + ":" + port})
		all.End()
		old.close()
		old = next
	}
	stop()
	old.close()
	filesAre(t, before)
}

// The file of a unix socket stays while it is passed on, gets the new mode, and goes with
// the last listener. One that was replaced by another process is not passed on.
func TestHandoverSocket(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	var all Listeners
	mode := func(want os.FileMode) {
		t.Helper()
		if f, err := os.Lstat(path); err != nil || f.Mode().Perm() != want {
			t.Errorf("mode %v, %v; expected %v", f.Mode(), err, want)
		}
	}
	o := ListenOptions{Transport: "unix", Endpoint: path, SocketMode: 0o600}
	old := serve(t, &all, 1, o)
	o.SocketMode = 0o660
	all.Begin()
	next := serve(t, &all, 2, o)
	mode(0o660)
	next.close() // it was not needed
	mode(0o600)
	next = serve(t, &all, 3, o)
	all.End()
	old.close()
	mode(0o660)
	if id, err := ask("unix", path); id != 3 || err != nil {
		t.Errorf("accepted by %d, %v; expected the new listener", id, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	all.Begin()
	last := serve(t, &all, 4, o)
	all.End()
	next.close()
	if id, err := ask("unix", path); id != 4 || err != nil {
		t.Errorf("accepted by %d, %v; expected the listener on the new socket", id, err)
	}
	last.close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after the last listener was closed: %v", err)
	}
}
