// Package vfs is the seam between penstock's durable state and the file system: the
// few operations that a log needs, an implementation on the operating system, and one
// in memory (Mem) that fails any operation on request and forgets what was not synced.
//
// # Durability
//
// The rules are those of POSIX, read strictly:
//
//   - What was written to a file is durable when a Sync of that file has returned nil.
//   - That a file is there, is gone, or has another name is durable when a SyncDir of
//     its folder has returned nil. Sync of a file does not do it.
//   - After a Sync that failed, nothing is known about what was written since the last
//     one that succeeded, and no later Sync of the same file can tell.
//
// An FS is one folder. Names are relative to it, with slashes; they cannot lead out of
// it.
package vfs

import (
	"io"
	"path/filepath"
	"sync"
)

// FS is a folder and what is in it. It is safe for concurrent use. Errors satisfy
// errors.Is with those of io/fs and, where the operating system makes them, with
// syscall.Errno.
type FS interface {
	// Create creates a file of mode 0600 for reading and writing. That it exists
	// already is an error.
	Create(name string) (File, error)
	// Open opens a file for reading, and for writing if write is true.
	Open(name string, write bool) (File, error)
	// Rename gives a file another name, which must not be taken.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// Mkdir creates a folder of mode 0700. One that exists is not an error.
	Mkdir(name string) error
	// List returns the files in a folder, in the order of their names, without
	// folders. "." is the folder of the FS.
	List(dir string) ([]Info, error)
	// SyncDir makes the entries of a folder durable.
	SyncDir(dir string) error
	// Lock takes the lock that is the file name. The lock ends with Close, or with
	// the process. ErrLocked means that another owner has it.
	Lock(name string) (io.Closer, error)
	// Space returns the bytes that can still be allocated, and how many the file system
	// has in all.
	Space() (free, total int64, err error)
	// Close releases the FS. Files that are open stay usable.
	Close() error
}

// File is an open file. ReadAt may be used concurrently with everything but Close.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Preallocate makes the file size bytes long, if it is shorter, with room on the
	// disk for all of them, so that later writes within do not fail for want of
	// space. What was not written reads as zeros.
	Preallocate(size int64) error
	// Truncate sets the length.
	Truncate(size int64) error
	// Sync makes content and length durable.
	Sync() error
	// Size returns the length.
	Size() (int64, error)
}

// partsWriter is a File that writes several parts with one operation.
type partsWriter interface {
	writePartsAt(parts [][]byte, off int64) error
}

// WritePartsAt writes parts one behind the other, from off on.
func WritePartsAt(f File, parts [][]byte, off int64) error {
	if w, ok := f.(partsWriter); ok {
		return w.writePartsAt(parts, off)
	}
	for _, part := range parts {
		if _, err := f.WriteAt(part, off); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return nil
}

// Info is a file in a list.
type Info struct {
	Name string // without its folder
	Size int64
}

// mounted has the file systems that tests put in the place of folders.
var mounted sync.Map // absolute path to FS

// Mount makes At return fs for dir, until the returned function is called. It is for
// tests.
func Mount(dir string, fs FS) (unmount func()) {
	dir = absolute(dir)
	mounted.Store(dir, fs)
	return func() { mounted.CompareAndDelete(dir, fs) }
}

// At returns the folder dir of the operating system. The folder must exist.
func At(dir string) (FS, error) {
	if fs, ok := mounted.Load(absolute(dir)); ok {
		return fs.(FS), nil
	}
	return openOS(dir)
}

func absolute(dir string) string {
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return filepath.Clean(dir)
}
