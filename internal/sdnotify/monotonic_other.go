//go:build !linux

package sdnotify

// monotonicMicroseconds is 0: there is no systemd.
func monotonicMicroseconds() int64 { return 0 }
