package vfs

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData leaves out what fsync adds for the file's times.
func syncData(f *os.File) error {
	if err := retry(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func preallocate(f *os.File, from, n int64) error {
	return retry(func() error { return unix.Fallocate(int(f.Fd()), 0, from, n) })
}

// ephemeral are file systems whose content ends with the machine or the container.
var ephemeral = map[int64]string{unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.OVERLAYFS_SUPER_MAGIC: "overlayfs"}

// Ephemeral returns the name of the file system of a folder if what it has ends with the
// machine (tmpfs) or with the container (overlayfs); "" otherwise, and where it is
// unknown.
func Ephemeral(dir string) string {
	var s unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(dir, &s) }); err != nil {
		return ""
	}
	return ephemeral[int64(s.Type)]
}
