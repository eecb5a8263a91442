//go:build unix

package detect

import "golang.org/x/sys/unix"

// kernelVersion returns the release of the kernel.
func kernelVersion() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}
