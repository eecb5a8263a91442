package sdnotify

import "golang.org/x/sys/unix"

// monotonicMicroseconds is the time of CLOCK_MONOTONIC, with which systemd orders messages;
// 0 means that it is unknown.
func monotonicMicroseconds() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return 0
	}
	return now.Nano() / 1000
}
