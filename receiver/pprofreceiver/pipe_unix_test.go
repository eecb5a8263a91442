//go:build unix

package pprofreceiver

import (
	"syscall"
	"testing"
)

// makePipe makes what looks like a file, and would be read for ever.
func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}
