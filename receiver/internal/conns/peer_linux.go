package conns

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unixShare returns what stands in fair shares for the client of a unix socket: the
// process that connected, "" if that is not known.
func unixShare(c net.Conn) string {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return ""
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return ""
	}
	var who *unix.Ucred
	if raw.Control(func(fd uintptr) {
		who, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}) != nil || err != nil {
		return ""
	}
	return fmt.Sprintf("unix user %d process %d", who.Uid, who.Pid)
}
