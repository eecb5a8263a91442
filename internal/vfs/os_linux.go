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
