//go:build !unix

package detect

import (
	"errors"
	"runtime"
)

// kernelVersion returns an error: it is not known how to read it.
func kernelVersion() (string, error) {
	return "", errors.New("not read on " + runtime.GOOS)
}
