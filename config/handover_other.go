//go:build !linux

package config

import (
	"context"
	"errors"
	"io/fs"
	"net"
)

// bindBeside fails: only Linux lets a socket be bound beside one with an overlapping
// address that was bound without that in mind.
func bindBeside(context.Context, string, string, []*socket) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// umask returns the usual umask: reading that of the process would change it for a
// moment.
func umask() fs.FileMode { return 0o022 }
