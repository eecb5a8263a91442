package config_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	. "github.com/penstock-telemetry/penstock/config"
)

func listen(t *testing.T, o ListenOptions) net.Listener {
	t.Helper()
	l, err := Listen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// answers dials address and checks that l accepts the connection.
func answers(t *testing.T, l net.Listener, network, address string) {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Errorf("dial %s %s: %v", network, address, err)
		return
	}
	c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Error(err)
		return
	}
	s.Close()
}

func TestListenTCP(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"", "tcp", "tcp4"} {
		l := listen(t, ListenOptions{Transport: transport, Endpoint: "127.0.0.1:0"})
		answers(t, l, "tcp", l.Addr().String())
		_, err := Listen(t.Context(), ListenOptions{Transport: transport, Endpoint: l.Addr().String()})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "address already in use: another process") {
			t.Errorf("taken: %v", err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("x", 200)
	for want, o := range map[string]ListenOptions{
		`unknown transport "udp"`:                          {Transport: "udp", Endpoint: "localhost:1"},
		`did you mean "tcp4"`:                              {Transport: "tpc4", Endpoint: "localhost:1"},
		"no endpoint is set: expected host:port":           {},
		"the port is missing":                              {Endpoint: "localhost"},
		"without a scheme":                                 {Endpoint: "http://localhost:4317"},
		"with an IPv6 address in brackets":                 {Endpoint: "::1:4317"},
		`invalid port "http"`:                              {Endpoint: "localhost:http"},
		`invalid port "70000"`:                             {Endpoint: "localhost:70000"},
		"only a unix socket has a mode":                    {Endpoint: "localhost:0", SocketMode: 0o600},
		"expected the path of a socket":                    {Transport: "unix"},
		"the path of a socket, without a scheme":           {Transport: "unix", Endpoint: "unix:///run/x"},
		fmt.Sprintf("has %d bytes", len(long)):             {Transport: "unix", Endpoint: long},
		"expected 0 to 0777":                               {Transport: "unix", Endpoint: "/x", SocketMode: 0o1777},
		"has no mode":                                      {Transport: "unix", Endpoint: "@x", SocketMode: 0o600},
		"this machine has no such address":                 {Endpoint: "192.0.2.1:0"},
		"the host name cannot be resolved on this machine": {Endpoint: "no-such-host.invalid:0"},
		"no such file or directory":                        {Transport: "unix", Endpoint: "/no/such/folder/s"},
	} {
		if l, err := Listen(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, %v, want %q", o, l, err, want)
		}
	}
}

// The error for a privileged port or a directory that is not writable has a
// hint.
func TestListenPermission(t *testing.T) {
	t.Parallel()
	if got := Hint(fmt.Errorf("bind: %w", os.NewSyscallError("bind", syscall.EACCES))); !strings.Contains(got, "CAP_NET_BIND_SERVICE") {
		t.Errorf("got %q", got)
	}
}

func socketPath(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func TestListenSocket(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666, 0o777} {
		path := socketPath(t)
		l := listen(t, ListenOptions{Transport: "unix", Endpoint: path, SocketMode: mode})
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("mode %v, want %v (%v)", info.Mode().Perm(), mode, err)
		}
		answers(t, l, "unix", path)
		_, err = Listen(t.Context(), ListenOptions{Transport: "unix", Endpoint: path})
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "already in use") {
			t.Errorf("a live socket: %v", err)
		}
		answers(t, l, "unix", path)                       // the probe's connection
		if c, err := net.Dial("unix", path); err != nil { // and the socket is still there
			t.Error(err)
		} else {
			c.Close()
		}
		l.Close()
		l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket was not removed: %v", err)
		}
	}
}

// The socket never has more permissions than configured: bind creates the file
// with them.
func TestListenSocketModeAtBind(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux gives a socket a mode before it is bound")
	}
	path := socketPath(t)
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return RestrictSocket(c, 0o600) }}
	l, err := lc.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if info, err := os.Lstat(path); err != nil || info.Mode().Perm()&^0o600 != 0 {
		t.Errorf("bind created it with mode %v (%v)", info.Mode(), err)
	}
}

// The socket of a killed process is replaced.
func TestListenSocketStale(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	l := listen(t, ListenOptions{Transport: "unix", Endpoint: path})
	answers(t, l, "unix", path)
}

// A file that is not a socket is never removed.
func TestListenSocketOverOther(t *testing.T) {
	t.Parallel()
	for what, make := range map[string]func(path string) error{
		"a file":          func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"a directory":     func(path string) error { return os.Mkdir(path, 0o700) },
		"a symbolic link": func(path string) error { return os.Symlink("/nowhere", path) },
		"not a socket":    makePipe,
	} {
		path := socketPath(t)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Lstat(path)
		_, err := Listen(t.Context(), ListenOptions{Transport: "unix", Endpoint: path})
		if err == nil || !strings.Contains(err.Error(), "the path is "+what+", which is not removed") {
			t.Errorf("%s: %v", what, err)
		}
		if now, err := os.Lstat(path); err != nil || !os.SameFile(before, now) {
			t.Errorf("%s was removed: %v", what, err)
		}
	}
}

// A socket of another process at the same path is not removed.
func TestListenSocketReplaced(t *testing.T) {
	t.Parallel()
	path := socketPath(t)
	ours := listen(t, ListenOptions{Transport: "unix", Endpoint: path})
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	theirs := listen(t, ListenOptions{Transport: "unix", Endpoint: path})
	ours.Close()
	answers(t, theirs, "unix", path)
}

func TestListenAbstract(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	name := fmt.Sprintf("@penstock-test-%d", os.Getpid())
	l := listen(t, ListenOptions{Transport: "unix", Endpoint: name})
	answers(t, l, "unix", name)
	if _, err := Listen(context.Background(), ListenOptions{Transport: "unix", Endpoint: name}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("taken: %v", err)
	}
}
