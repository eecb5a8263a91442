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
// same address afterwards. Until the others are closed, connections go to the socket
// with the most specific address.
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

// ignoreNew makes a listening socket drop the packets that begin a connection. The
// clients repeat them, after a second, and reach another socket, or are refused, once
// this one is closed. Connections that have begun are not affected.
func ignoreNew(l net.Listener) {
	const flags, syn, ack = 13, 2, 16 // of the TCP header
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: flags},
		{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: syn | ack},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: syn, Jt: 0, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: 0},
		{Code: unix.BPF_RET | unix.BPF_K, K: 1<<32 - 1},
	}
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) {
		// Without the filter a connection can arrive between the last look and the close.
		_ = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
	})
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
