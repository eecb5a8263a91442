//go:build !linux

package config

import (
	"io/fs"
	"syscall"
)

// restrictSocket does nothing: only Linux gives a socket a mode before it is
// bound. Elsewhere the socket has the mode of the umask until the chmod that
// follows; if that matters, restrict access to the directory.
func restrictSocket(syscall.RawConn, fs.FileMode) error { return nil }
