//go:build unix

package pprofreceiver

import (
	"syscall"
	"testing"
)

// makePipe creates a pipe, reading from which would never end.
func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
