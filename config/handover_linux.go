package config

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindBeside listens on an address that overlaps with those of open sockets. Linux allows
// that if all have SO_REUSEPORT, also if it is set after bind. It is cleared
// afterwards, so that no other process can share the port; but Linux checks that only
// for other users: a process of the same user that sets SO_REUSEPORT itself can bind the
// same address afterwards. While both are open, a connection arrives at the socket with
// the most specific address.
func bindBeside(ctx context.Context, network, address string, others []*socket) (net.Listener, error) {
	var errs []error
	for _, s := range others {
		errs = append(errs, setReusePort(s.Listener, 1))
	}
	var l net.Listener
	err := errors.Join(errs...)
	if err == nil {
		lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error { return setOption(c, 1) }}
		if l, err = lc.Listen(ctx, network, address); err == nil {
			err = setReusePort(l, 0)
		}
	}
	for _, s := range others {
		err = errors.Join(err, setReusePort(s.Listener, 0))
	}
	if err != nil && l != nil {
		_ = l.Close() // err is the more important error
		l = nil
	}
	return l, err
}

func setReusePort(l net.Listener, on int) error {
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	return setOption(raw, on)
}

func setOption(c syscall.RawConn, on int) error {
	var failed error
	err := c.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, on) })
	return errors.Join(err, failed)
}

// umask returns the process's umask, which only the kernel's text shows without changing
// it.
func umask() fs.FileMode {
	const usual = 0o022
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return usual
	}
	_, after, _ := strings.Cut(string(text), "\nUmask:")
	line, _, _ := strings.Cut(after, "\n")
	mask, err := strconv.ParseUint(strings.TrimSpace(line), 8, 32)
	if err != nil {
		return usual
	}
	return fs.FileMode(mask)
}
