package vfs

import (
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// syncData leaves out what fsync adds for the file's times.
func syncData(f *os.File) error {
	if err := retry(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// maxParts is the number of parts that the system takes at once (IOV_MAX).
const maxParts = 1024

func (f osFile) writePartsAt(parts [][]byte, off int64) error {
	parts = slices.Clone(parts) // it is changed
	for len(parts) > 0 {
		n := 0
		err := retry(func() (err error) {
			n, err = unix.Pwritev(int(f.Fd()), parts[:min(len(parts), maxParts)], off)
			return err
		})
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return &os.PathError{Op: "pwritev", Path: f.Name(), Err: err}
		}
		off += int64(n)
		parts = behind(parts, n)
	}
	return nil
}

// behind returns what is left of parts when n bytes of them are written.
func behind(parts [][]byte, n int) [][]byte {
	for len(parts) > 0 && n >= len(parts[0]) {
		n -= len(parts[0])
		parts = parts[1:]
	}
	if n > 0 {
		parts[0] = parts[0][n:]
	}
	return parts
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
