package vfs

import (
	"errors"
	"syscall"
)

// IsFull reports whether an error says that the disk, or what the user may have of it,
// is used up.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, errFull)
}
