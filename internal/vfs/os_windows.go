package vfs

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func lock(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{Offset: 1 << 30})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}

// syncDir does nothing: Windows has no such operation, NTFS logs its entries.
func syncDir(*os.File) error { return nil }

func space(path string) (free, total int64, err error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, 0, err
	}
	var available, all uint64
	if err := windows.GetDiskFreeSpaceEx(p, &available, &all, nil); err != nil {
		return 0, 0, &os.PathError{Op: "free space", Path: path, Err: err}
	}
	return int64(available), int64(all), nil
}

// unlock does nothing: closing ends the lock.
func unlock(*os.File) error { return nil }
