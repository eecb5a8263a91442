package control

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	socketName = "control.sock"
	// freshName is that of the socket until it is ready to take the place of an old one.
	freshName = "control.sock.new"
	// maxPath is how long the path of a socket can be: 108 bytes on Linux, 104 elsewhere,
	// with a zero at the end.
	maxPath = 103
)

// ErrLongPath means that the path of a socket is too long.
var ErrLongPath = fmt.Errorf("the path of a unix socket can have at most %d bytes", maxPath)

// socketAddress is a folder in a form that is short enough for the address of a socket
// in it. It is valid until release is called.
func socketAddress(folder string) (short string, release func(), err error) {
	if len(filepath.Join(folder, freshName)) <= maxPath {
		return folder, func() {}, nil
	}
	open, err := os.Open(folder)
	if err != nil {
		return "", nil, err
	}
	short = filepath.Join(descriptors, strconv.Itoa(int(open.Fd())))
	if _, err := os.Stat(short); err != nil {
		return "", nil, errors.Join(fmt.Errorf("use the folder %s: %w", folder, ErrLongPath), open.Close())
	}
	return short, func() { _ = open.Close() }, nil
}

// descriptors is a folder with a link to each open file (Linux).
var descriptors = "/proc/self/fd"
