package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// ListenOptions are the address and options of a listener.
type ListenOptions struct {
	// Transport is tcp, tcp4, tcp6 or unix; empty means tcp.
	Transport string
	// Endpoint is host:port (localhost is both loopback addresses), or the path of a socket. A path that starts with @
	// is a name in Linux's abstract namespace, which is not a file.
	Endpoint string
	// SocketMode sets the permissions of a unix socket; clients need the
	// permission to write to connect. 0 leaves them to the umask, like the
	// Collector: with the usual 022 only the server's own user can connect.
	// 0o660 allows its group, 0o666 everybody.
	SocketMode fs.FileMode
	// Key is the key of Endpoint in the configuration, for errors; empty means that it
	// is not known.
	Key string
}

func transports() []string { return []string{"tcp", "tcp4", "tcp6", "unix"} }

// Validate checks what can be checked without listening.
func (o ListenOptions) Validate() error {
	abstract := strings.HasPrefix(o.Endpoint, "@")
	switch {
	case o.Transport != "" && !slices.Contains(transports(), o.Transport):
		return Atf("transport", "unknown transport %q%s", o.Transport, suggest.Known(o.Transport, transports()))
	case o.Transport != "unix" && o.SocketMode != 0:
		return Atf("socket_mode", "only a unix socket has a mode, the transport is %q", o.Transport)
	case o.Transport != "unix":
		return At("endpoint", checkServerHostPort(o.Endpoint))
	case o.Endpoint == "" || o.Endpoint == "@":
		return Atf("endpoint", "no endpoint is set: expected the path of a socket")
	case strings.Contains(o.Endpoint, "://"):
		return Atf("endpoint", "endpoint %q: expected the path of a socket, without a scheme", o.Endpoint)
	case len(o.Endpoint) > maxSocketPathBytes:
		return Atf("endpoint", "endpoint %q: the path has %d bytes, a socket's has at most %d", o.Endpoint, len(o.Endpoint), maxSocketPathBytes)
	case o.SocketMode&^fs.ModePerm != 0:
		return Atf("socket_mode", "socket_mode %#o: expected 0 to 0777", uint32(o.SocketMode))
	case abstract && o.SocketMode != 0:
		return Atf("socket_mode", "the abstract socket %s is not a file and has no mode", o.Endpoint)
	}
	return nil
}

// maxSocketPathBytes is the size of the path in sockaddr_un, without the
// terminating zero.
const maxSocketPathBytes = len(syscall.RawSockaddrUnix{}.Path) - 1

// checkServerHostPort accepts an empty host, which means all addresses, and
// port 0, which means any free port.
func checkServerHostPort(s string) error {
	const want = "expected host:port such as localhost:4317"
	_, port, err := net.SplitHostPort(s)
	switch {
	case s == "":
		return errors.New("no endpoint is set: " + want)
	case strings.Contains(s, "://"):
		return fmt.Errorf("endpoint %q: a server listens at host:port, without a scheme", s)
	case err != nil && !strings.Contains(s, ":"):
		return fmt.Errorf("endpoint %q: the port is missing: %s", s, want)
	case err != nil:
		return fmt.Errorf("endpoint %q: %s, with an IPv6 address in brackets", s, want)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("endpoint %q: invalid port %q: expected 0 to 65535", s, port)
	}
	return nil
}

// Listen starts to listen. At localhost over tcp it listens on 127.0.0.1 and ::1, if
// the machine has both, on one port. A stale unix socket, on which no process listens, is
// replaced. A socket in use, or a file that is not a socket, is an error and is
// not touched. The listener removes its socket when it is closed, unless the
// socket has been replaced. With Listeners in ctx (WithListeners) and during a handover
// the listener may share its socket with one that is about to be closed.
func Listen(ctx context.Context, o ListenOptions) (net.Listener, error) {
	if o.Transport == "" {
		o.Transport = "tcp"
	}
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	var l net.Listener
	var err error
	if all := listenersOf(ctx); all != nil {
		l, err = all.listen(ctx, o)
	} else {
		l, err = listenPlain(ctx, o, new(net.ListenConfig).Listen)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s %s: %w%s", o.Transport, addressOf(err, o.Endpoint), withoutAddress(err), o.hint(err))
	}
	return l, nil
}

// bindFunc is net.ListenConfig.Listen.
type bindFunc func(ctx context.Context, network, address string) (net.Listener, error)

// listenPlain binds the endpoint; bind is for TCP.
func listenPlain(ctx context.Context, o ListenOptions, bind bindFunc) (net.Listener, error) {
	switch {
	case o.Transport != "unix":
		return listenTCP(ctx, o.Transport, o.Endpoint, bind)
	case o.Endpoint[0] != '@':
		return listenSocket(ctx, o)
	}
	return new(net.ListenConfig).Listen(ctx, o.Transport, o.Endpoint)
}

// withoutAddress removes the prefix of package net, since Listen has one of its
// own.
func withoutAddress(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "listen" {
		return op.Err
	}
	return err
}

// addressOf returns the address at which listening failed: that of localhost is one of
// two.
func addressOf(err error, endpoint string) string {
	host, _, splitErr := net.SplitHostPort(endpoint)
	var op *net.OpError
	if splitErr == nil && LoopbackHosts("tcp", host) != nil && errors.As(err, &op) && op.Addr != nil {
		return endpoint + " (" + op.Addr.String() + ")"
	}
	return endpoint
}

func (o ListenOptions) hint(err error) string {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return ": another process, or another component of this configuration, uses this address" + o.whoListens(runtime.GOOS) + o.elsewhere()
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return ": this machine has no such address"
	case errors.As(err, &dns):
		return ": the host name cannot be resolved on this machine"
	case errors.Is(err, fs.ErrPermission):
		return ": ports below 1024 need root or CAP_NET_BIND_SERVICE, a socket needs a writable directory"
	}
	return ""
}

// whoListens names the command of an operating system that shows the process that
// listens there.
func (o ListenOptions) whoListens(system string) string {
	command := ""
	_, port, err := net.SplitHostPort(o.Endpoint)
	switch {
	case o.Transport == "unix" && system == "linux":
		command = "ss -lxp src " + shown(o.Endpoint)
	case o.Transport == "unix":
		command = "lsof " + shown(o.Endpoint)
	case err != nil:
		return ""
	case system == "linux":
		command = "ss -ltnp 'sport = :" + port + "'"
	case system == "windows":
		command = "netstat -ano | findstr :" + port
	default:
		command = "lsof -nP -iTCP:" + port + " -sTCP:LISTEN"
	}
	return " (" + command + " shows which process)"
}

// shown quotes a path that a shell would split.
func shown(path string) string {
	if strings.ContainsAny(path, " '\"$\\*?[](){}<>|&;`\t\n") {
		return strconv.Quote(path)
	}
	return path
}

// elsewhere says how to listen on another address.
func (o ListenOptions) elsewhere() string {
	if o.Key == "" {
		return ""
	}
	another := "host:port"
	host, port, err := net.SplitHostPort(o.Endpoint)
	if n, numeric := strconv.Atoi(port); o.Transport == "unix" {
		another = "path"
	} else if err == nil && numeric == nil && n > 0 && n <= maxPort-portDistance {
		another = net.JoinHostPort(host, strconv.Itoa(n+portDistance))
	}
	return "; choose another address with " + o.Key + ", or --set " + o.Key + "=" + another
}

// The port that an error proposes is portDistance above the one in use: 14317 for 4317.
const (
	maxPort      = 1<<16 - 1
	portDistance = 10_000
)

// probeWithin is the timeout for connecting to a socket that may be in use.
const probeWithin = 2 * time.Second

func listenSocket(ctx context.Context, o ListenOptions) (net.Listener, error) {
	if err := removeStale(ctx, o.Endpoint); err != nil {
		return nil, err
	}
	lc := net.ListenConfig{}
	if o.SocketMode != 0 {
		// bind creates the file with at most these permissions, so that it never
		// has more; chmod then adds those that the umask removed.
		lc.Control = func(_, _ string, c syscall.RawConn) error { return restrictSocket(c, o.SocketMode) }
	}
	inner, err := lc.Listen(ctx, "unix", o.Endpoint)
	if err != nil {
		return nil, err
	}
	l := &socketListener{UnixListener: inner.(*net.UnixListener), path: o.Endpoint}
	l.SetUnlinkOnClose(false) // Close checks first whether the file is still this socket
	if l.file, err = os.Lstat(o.Endpoint); err == nil && o.SocketMode != 0 {
		err = os.Chmod(o.Endpoint, o.SocketMode)
	}
	if err != nil {
		l.Close()
		return nil, fmt.Errorf("set the socket's mode: %w", err)
	}
	return l, nil
}

// removeStale removes a socket on which no process listens, and nothing else.
func removeStale(ctx context.Context, path string) error {
	before, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case before.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("the path is %s, which is not removed: expected an unused path or a socket that is not in use", kindOf(before.Mode()))
	}
	d := net.Dialer{Timeout: probeWithin}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("already in use: %w", syscall.EADDRINUSE)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("the socket exists and may be in use: %w", err)
	}
	if now, err := os.Lstat(path); err == nil && !os.SameFile(before, now) {
		return fmt.Errorf("already in use: %w", syscall.EADDRINUSE) // another process was faster
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket of an earlier run: %w", err)
	}
	return nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsRegular():
		return "a file"
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "not a socket"
}

// socketListener removes its own socket at the first Close.
type socketListener struct {
	*net.UnixListener
	path string
	file fs.FileInfo // nil if it could not be read
	once sync.Once
}

// Close implements net.Listener.
func (l *socketListener) Close() error {
	l.once.Do(func() {
		if l.inPlace() {
			// Remove the file before closing the socket: another process may replace the file of a closed socket.
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}

// inPlace reports whether the file at the path is this socket.
func (l *socketListener) inPlace() bool {
	now, err := os.Lstat(l.path)
	return err == nil && l.file != nil && os.SameFile(l.file, now)
}
