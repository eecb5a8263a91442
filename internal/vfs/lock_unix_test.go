//go:build linux || darwin || freebsd

package vfs

import (
	"testing"

	"golang.org/x/sys/unix"
)

// A lock is free when it is closed, although a child that is being started still has a
// copy of the file.
func TestLockWithACopy(t *testing.T) {
	fsys, err := At(t.TempDir())
	check(t, err)
	defer fsys.Close()
	l := must(fsys.Lock("LOCK"))(t)
	copied, err := unix.Dup(int(l.(osLock).Fd()))
	check(t, err)
	defer unix.Close(copied)
	check(t, l.Close())
	check(t, must(fsys.Lock("LOCK"))(t).Close())
}
