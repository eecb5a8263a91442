//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager's socket.
type manager struct {
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{path: filepath.Join(dir, "s")}
	m.conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.conn.Close(); os.RemoveAll(dir) })
	return m
}

// await reads messages until one begins with state.
func (m *manager) await(t *testing.T, state string) string {
	t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 4096); ; {
		n, err := m.conn.Read(b)
		if err != nil {
			t.Fatalf("no message %s: %v", state, err)
		}
		if message := string(b[:n]); strings.HasPrefix(message, state) {
			return message
		}
	}
}

// systemd is notified when the receivers listen, that the process lives, also while it
// drains, and that it stops.
func TestSystemdIsNotified(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	c := startChildWith(t, func(args []string) *exec.Cmd {
		cmd := exec.Command("penstock", args...)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=50000")
		return cmd
	}, "--drain-within", "1h")
	if ready := m.await(t, "READY=1\n"); !strings.HasSuffix(ready, "STATUS=ready, OTLP/gRPC "+c.address) {
		t.Errorf("got %q", ready)
	}
	m.await(t, "WATCHDOG=1")
	sent := c.send(t)
	c.signal(t, syscall.SIGTERM)
	m.await(t, "STOPPING=1\nSTATUS=")
	m.await(t, "WATCHDOG=1")
	close(c.release)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if code := c.exit(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// Without a manager that listens penstock runs, and says so.
func TestSystemdIsGone(t *testing.T) {
	t.Parallel()
	m := newManager(t)
	m.conn.Close()
	c := startChildWith(t, func(args []string) *exec.Cmd {
		cmd := exec.Command("penstock", args...)
		cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
		return cmd
	})
	close(c.release)
	c.await(t, "notifying the service manager failed")
	if err := <-c.send(t); err != nil {
		t.Error(err)
	}
}
