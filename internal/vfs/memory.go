package vfs

import (
	"io"
	"io/fs"
	"math"
	"path"
	"sync"
	"syscall"
)

// chunkSize is the unit in which files of a Memory take memory.
const chunkSize = 64 << 10

// Memory is a folder in memory, for what need not survive the process. Files take memory
// for what was written, not for what was preallocated, until they are removed and
// closed. Unlike Mem it neither fails nor crashes, and it has no bound: that is its
// user's.
type Memory struct {
	mu     sync.Mutex
	files  map[string]*chunks
	dirs   map[string]bool
	locked map[string]bool
}

// NewMemory returns an empty folder.
func NewMemory() *Memory {
	return &Memory{files: map[string]*chunks{}, dirs: map[string]bool{".": true}, locked: map[string]bool{}}
}

// chunks is the content of a file. A chunk that is nil is zeros.
type chunks struct {
	mu   sync.RWMutex
	all  [][]byte
	size int64
}

func (m *Memory) failed(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Create implements FS.
func (m *Memory) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.files[name] != nil:
		return nil, m.failed("create", name, fs.ErrExist)
	case !m.dirs[path.Dir(name)]:
		return nil, m.failed("create", name, fs.ErrNotExist)
	}
	c := &chunks{}
	m.files[name] = c
	return memoryFile{c, true}, nil
}

// Open implements FS.
func (m *Memory) Open(name string, write bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.files[name]
	if c == nil {
		return nil, m.failed("open", name, fs.ErrNotExist)
	}
	return memoryFile{c, write}, nil
}

// Rename implements FS.
func (m *Memory) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.files[from] == nil || !m.dirs[path.Dir(to)]:
		return m.failed("rename", from, fs.ErrNotExist)
	case m.files[to] != nil:
		return m.failed("rename", to, fs.ErrExist)
	}
	m.files[to] = m.files[from]
	delete(m.files, from)
	return nil
}

// Remove implements FS.
func (m *Memory) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files[name] == nil {
		return m.failed("remove", name, fs.ErrNotExist)
	}
	delete(m.files, name)
	return nil
}

// Mkdir implements FS.
func (m *Memory) Mkdir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirs[name] = true
	return nil
}

// List implements FS.
func (m *Memory) List(dir string) (list []Info, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dirs[dir] {
		return nil, m.failed("list", dir, fs.ErrNotExist)
	}
	for name, c := range m.files {
		if path.Dir(name) == dir {
			size, _ := memoryFile{c, false}.Size()
			list = append(list, Info{path.Base(name), size})
		}
	}
	sortByName(list)
	return list, nil
}

// SyncDir implements FS.
func (m *Memory) SyncDir(string) error { return nil }

// Lock implements FS.
func (m *Memory) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[name] {
		return nil, m.failed("lock", name, ErrLocked)
	}
	m.locked[name] = true
	return memoryLock{m, name}, nil
}

type memoryLock struct {
	m    *Memory
	name string
}

func (l memoryLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locked, l.name)
	return nil
}

// Space implements FS.
func (m *Memory) Space() (free, total int64, err error) { return math.MaxInt64, math.MaxInt64, nil }

// Close implements FS.
func (m *Memory) Close() error { return nil }

// memoryFile is an open file of a Memory.
type memoryFile struct {
	*chunks
	write bool
}

// ReadAt implements File.
func (f memoryFile) ReadAt(b []byte, off int64) (n int, err error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if off >= f.size {
		return 0, io.EOF
	}
	for want := int(min(int64(len(b)), f.size-off)); n < want; {
		at, from := (off+int64(n))/chunkSize, (off+int64(n))%chunkSize
		part := b[n:min(want, n+chunkSize-int(from))]
		if c := f.all[at]; c != nil {
			copy(part, c[from:])
		} else {
			clear(part)
		}
		n += len(part)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements File.
func (f memoryFile) WriteAt(b []byte, off int64) (n int, err error) {
	if !f.write {
		return 0, syscall.EBADF
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(off + int64(len(b)))
	for n < len(b) {
		at, from := (off+int64(n))/chunkSize, (off+int64(n))%chunkSize
		if f.all[at] == nil {
			f.all[at] = make([]byte, chunkSize)
		}
		n += copy(f.all[at][from:], b[n:])
	}
	return n, nil
}

// grow makes the file at least size bytes long.
func (c *chunks) grow(size int64) {
	if size <= c.size {
		return
	}
	c.size = size
	if missing := int((size+chunkSize-1)/chunkSize) - len(c.all); missing > 0 {
		c.all = append(c.all, make([][]byte, missing)...)
	}
}

// Preallocate implements File.
func (f memoryFile) Preallocate(size int64) error {
	if !f.write {
		return syscall.EBADF
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	return nil
}

// Truncate implements File.
func (f memoryFile) Truncate(size int64) error {
	if !f.write {
		return syscall.EBADF
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.grow(size)
	f.size = size
	keep := int((size + chunkSize - 1) / chunkSize)
	clear(f.all[keep:])
	f.all = f.all[:keep]
	if from := size % chunkSize; from > 0 && f.all[keep-1] != nil {
		clear(f.all[keep-1][from:]) // grown again, it is zeros
	}
	return nil
}

// Sync implements File.
func (f memoryFile) Sync() error { return nil }

// Size implements File.
func (f memoryFile) Size() (int64, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.size, nil
}

// Close implements File.
func (f memoryFile) Close() error { return nil }
