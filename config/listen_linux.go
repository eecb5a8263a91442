package config

import (
	"io/fs"
	"syscall"
)

// restrictSocket sets the permissions that bind gives the file: Linux uses those
// of the socket's inode, less the umask.
func restrictSocket(c syscall.RawConn, mode fs.FileMode) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); err != nil {
		return err
	}
	return failed
}
