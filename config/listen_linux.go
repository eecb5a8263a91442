package config

import (
	"io/fs"
	"syscall"
)

// restrictSocket sets the permissions that bind starts from: Linux takes those of
// the socket's own inode, less the umask.
func restrictSocket(c syscall.RawConn, mode fs.FileMode) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = syscall.Fchmod(int(fd), uint32(mode.Perm())) }); err != nil {
		return err
	}
	return failed
}
