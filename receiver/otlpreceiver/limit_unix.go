//go:build unix

package otlpreceiver

import "golang.org/x/sys/unix"

// defaultMaxConnections is three quarters of the files that the process may
// open: the rest is for what it needs to do its work.
func defaultMaxConnections() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<20 {
		return 3 << 18
	}
	return max(int(limit.Cur/4*3), 16)
}
