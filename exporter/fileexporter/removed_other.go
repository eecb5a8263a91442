//go:build !unix

package fileexporter

import "io/fs"

// removed is false: a file that is open cannot be removed.
func removed(fs.FileInfo) bool { return false }
