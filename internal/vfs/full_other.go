//go:build !windows

package vfs

import "syscall"

var errFull error = syscall.ENOSPC
