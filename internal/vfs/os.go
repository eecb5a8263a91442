package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrLocked is the error of Lock if another owner has the lock. It is wrapped with
// what that owner wrote into the file.
var ErrLocked = errors.New("it is locked")

// osFS is a folder of the operating system. os.Root keeps names within it.
type osFS struct {
	root *os.Root
	path string
}

func openOS(dir string) (FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &osFS{root: root, path: dir}, nil
}

func (o *osFS) Create(name string) (File, error) {
	return o.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (o *osFS) Open(name string, write bool) (File, error) {
	if write {
		return o.open(name, os.O_RDWR)
	}
	return o.open(name, os.O_RDONLY)
}

func (o *osFS) open(name string, flag int) (File, error) {
	f, err := o.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (o *osFS) Rename(from, to string) error {
	if _, err := o.root.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: os.ErrExist}
	}
	return o.root.Rename(from, to)
}

func (o *osFS) Remove(name string) error { return o.root.Remove(name) }

func (o *osFS) Mkdir(name string) error {
	if err := o.root.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}

func (o *osFS) List(dir string) ([]Info, error) {
	d, err := o.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	var list []Info
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Info{Name: e.Name(), Size: info.Size()})
	}
	sortByName(list)
	return list, nil
}

func (o *osFS) SyncDir(dir string) error {
	d, err := o.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(syncDir(d), d.Close())
}

func (o *osFS) Lock(name string) (io.Closer, error) {
	f, err := o.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		owner := make([]byte, 64)
		n, _ := f.ReadAt(owner, 0)
		f.Close()
		if !errors.Is(err, ErrLocked) {
			return nil, err
		}
		return nil, fmt.Errorf("lock %s: %w by process %s", filepath.Join(o.path, name), ErrLocked, printable(owner[:n]))
	}
	// The number is for people; the lock does not depend on it.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return osLock{f}, nil
}

// osLock is a lock of the operating system. It is released and not only closed: a child
// that is being started has a copy of the file until it executes its program.
type osLock struct{ *os.File }

func (l osLock) Close() error { return errors.Join(unlock(l.File), l.File.Close()) }

// printable is the number in a lock file.
func printable(owner []byte) string {
	s := strings.TrimSpace(string(owner))
	if _, err := strconv.Atoi(s); err != nil {
		return "(unknown)"
	}
	return s
}

func (o *osFS) Space() (free, total int64, err error) { return space(o.path) }

func (o *osFS) Close() error { return o.root.Close() }

// osFile is an open file of the operating system.
type osFile struct{ *os.File }

func (f osFile) Sync() error { return syncData(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Preallocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	err = preallocate(f.File, have, size-have)
	if errors.Is(err, errors.ErrUnsupported) {
		err = writeZeros(f.File, have, size)
	}
	if err != nil {
		return &os.PathError{Op: "preallocate", Path: f.Name(), Err: err}
	}
	return nil
}

// writeZeros is Preallocate where the file system cannot do it.
func writeZeros(f io.WriterAt, from, to int64) error {
	zeros := make([]byte, 256<<10)
	for from < to {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-from)], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}
