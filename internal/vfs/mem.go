package vfs

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"sync"
	"syscall"
)

// pageSize is the unit in which a Mem allocates room.
const pageSize = 4096

// Mem is a file system in memory that can fail and crash. NewMem returns one.
//
// It keeps two states: what programs see, and what is on the disk. Sync and SyncDir
// bring the second up to the first. Crash returns a file system with the second, and
// with as much of the difference as its mode says.
type Mem struct {
	mu       sync.Mutex
	capacity int64
	used     int64
	index    int64
	locked   map[string]bool
	names    // as programs see them
	disk     names
	pending  []dirOp // what SyncDir has not made durable yet, oldest first

	inject func(Op) error
	after  func(Op)
}

// names are the entries of all folders.
type names struct {
	files map[string]*inode
	dirs  map[string]bool
}

// NewMem returns an empty file system with room for capacity bytes.
func NewMem(capacity int64) *Mem {
	return &Mem{capacity: capacity, locked: map[string]bool{}, names: newNames(), disk: newNames()}
}

func newNames() names {
	return names{files: map[string]*inode{}, dirs: map[string]bool{".": true}}
}

// dirOp is a change of a folder's entries: from is removed, and to becomes node. Either
// may be empty. A nil node with a to is a folder.
type dirOp struct {
	dir, from, to string
	node          *inode
}

func (o dirOp) apply(n names) {
	delete(n.files, o.from)
	switch {
	case o.to == "":
	case o.node == nil:
		n.dirs[o.to] = true
	default:
		n.files[o.to] = o.node
	}
}

// change makes a change that programs see at once.
func (m *Mem) change(ops ...dirOp) {
	for _, o := range ops {
		o.apply(m.names)
	}
	m.pending = append(m.pending, ops...)
}

// SetCapacity changes how many bytes there is room for.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// run does one operation: f under the lock, with the fault that was injected for it,
// and then what After asked for.
func (m *Mem) run(op Op, f func(fault error) error) error {
	m.mu.Lock()
	op.Index = m.index
	m.index++
	inject, after := m.inject, m.after
	m.mu.Unlock()
	var fault error
	if inject != nil {
		fault = inject(op)
	}
	m.mu.Lock()
	err := f(fault)
	m.mu.Unlock()
	if after != nil {
		after(op)
	}
	if err != nil && err != io.EOF {
		return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: err}
	}
	return err
}

// all is run for operations that a fault fails as a whole.
func (m *Mem) all(op Op, f func() error) error {
	return m.run(op, func(fault error) error {
		if fault != nil {
			return fault
		}
		return f()
	})
}

func (m *Mem) Create(name string) (file File, err error) {
	err = m.all(Op{Kind: OpCreate, Name: name}, func() error {
		dir := path.Dir(name)
		switch {
		case m.files[name] != nil:
			return fs.ErrExist
		case !m.dirs[dir]:
			return fs.ErrNotExist
		}
		node := newInode()
		m.change(dirOp{dir: dir, to: name, node: node})
		file = &memFile{m: m, name: name, node: node, write: true}
		return nil
	})
	return file, err
}

func (m *Mem) Open(name string, write bool) (file File, err error) {
	err = m.all(Op{Kind: OpOpen, Name: name}, func() error {
		node := m.files[name]
		if node == nil {
			return fs.ErrNotExist
		}
		file = &memFile{m: m, name: name, node: node, write: write}
		return nil
	})
	return file, err
}

// Rename is atomic within a folder. Between two folders, each has its own half of it.
func (m *Mem) Rename(from, to string) error {
	return m.all(Op{Kind: OpRename, Name: from}, func() error {
		node := m.files[from]
		switch {
		case node == nil || !m.dirs[path.Dir(to)]:
			return fs.ErrNotExist
		case m.files[to] != nil:
			return fs.ErrExist
		}
		if path.Dir(from) == path.Dir(to) {
			m.change(dirOp{dir: path.Dir(to), from: from, to: to, node: node})
		} else {
			m.change(dirOp{dir: path.Dir(to), to: to, node: node}, dirOp{dir: path.Dir(from), from: from})
		}
		return nil
	})
}

func (m *Mem) Remove(name string) error {
	return m.all(Op{Kind: OpRemove, Name: name}, func() error {
		node := m.files[name]
		if node == nil {
			return fs.ErrNotExist
		}
		m.used -= node.release(0)
		m.change(dirOp{dir: path.Dir(name), from: name})
		return nil
	})
}

func (m *Mem) Mkdir(name string) error {
	return m.all(Op{Kind: OpMkdir, Name: name}, func() error {
		if !m.dirs[name] {
			m.change(dirOp{dir: path.Dir(name), to: name})
		}
		return nil
	})
}

func (m *Mem) List(dir string) (list []Info, err error) {
	err = m.all(Op{Kind: OpList, Name: dir}, func() error {
		if !m.dirs[dir] {
			return fs.ErrNotExist
		}
		for name, node := range m.files {
			if path.Dir(name) == dir {
				list = append(list, Info{Name: path.Base(name), Size: int64(len(node.data))})
			}
		}
		sortByName(list)
		return nil
	})
	return list, err
}

func (m *Mem) SyncDir(dir string) error {
	return m.all(Op{Kind: OpSyncDir, Name: dir}, func() error {
		if !m.dirs[dir] {
			return fs.ErrNotExist
		}
		var rest []dirOp
		for _, o := range m.pending {
			if o.dir == dir {
				o.apply(m.disk)
			} else {
				rest = append(rest, o)
			}
		}
		m.pending = rest
		return nil
	})
}

func (m *Mem) Lock(name string) (c io.Closer, err error) {
	err = m.all(Op{Kind: OpLock, Name: name}, func() error {
		if m.locked[name] {
			return ErrLocked
		}
		m.locked[name] = true
		c = memLock{m, name}
		return nil
	})
	return c, err
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	l.m.locked[l.name] = false
	return nil
}

func (m *Mem) Space() (free, total int64, err error) {
	err = m.all(Op{Kind: OpSpace, Name: "."}, func() error {
		free, total = max(0, m.capacity-m.used), m.capacity
		return nil
	})
	return free, total, err
}

func (m *Mem) Close() error { return nil }

// memFile is an open file of a Mem.
type memFile struct {
	m     *Mem
	name  string
	node  *inode
	write bool
}

func (f *memFile) op(kind Kind, off int64, n int) Op {
	return Op{Kind: kind, Name: f.name, Offset: off, Bytes: n}
}

func (f *memFile) ReadAt(b []byte, off int64) (n int, err error) {
	err = f.m.all(f.op(OpRead, off, len(b)), func() error {
		if off < int64(len(f.node.data)) {
			n = copy(b, f.node.data[off:])
		}
		if n < len(b) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// WriteAt writes the first half if it is to fail, and as much as there is room for.
func (f *memFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.m.run(f.op(OpWrite, off, len(b)), func(fault error) error {
		switch {
		case !f.write:
			return syscall.EBADF
		case errors.As(fault, new(Short)):
			b = b[:len(b)/2]
		case fault != nil:
			return fault
		}
		for n < len(b) {
			step := int(min(int64(len(b)-n), pageSize-(off+int64(n))%pageSize))
			if !f.m.allocate(f.node, off+int64(n)) {
				return syscall.ENOSPC
			}
			f.node.write(b[n:n+step], off+int64(n))
			n += step
		}
		return fault
	})
	return n, err
}

// allocate gives the page at off room on the disk.
func (m *Mem) allocate(node *inode, off int64) bool {
	page := off / pageSize
	if node.pages[page] {
		return true
	}
	if m.used+pageSize > m.capacity {
		return false
	}
	m.used += pageSize
	node.pages[page] = true
	return true
}

func (f *memFile) Preallocate(size int64) error {
	return f.m.all(f.op(OpPreallocate, 0, int(size)), func() error {
		if !f.write {
			return syscall.EBADF
		}
		for off := int64(0); off < size; off += pageSize {
			if !f.m.allocate(f.node, off) {
				return syscall.ENOSPC // as on Linux, what was allocated stays
			}
		}
		if size > int64(len(f.node.data)) {
			f.node.resize(size)
		}
		return nil
	})
}

func (f *memFile) Truncate(size int64) error {
	return f.m.all(f.op(OpTruncate, size, 0), func() error {
		if !f.write {
			return syscall.EBADF
		}
		f.m.used -= f.node.release(size)
		f.node.resize(size)
		return nil
	})
}

// Sync that is to fail does what Linux does: what was not on the disk counts as
// written from then on, and is not.
func (f *memFile) Sync() error {
	return f.m.run(f.op(OpSync, 0, 0), func(fault error) error {
		if fault != nil {
			f.node.forget()
			return fault
		}
		f.node.sync()
		return nil
	})
}

func (f *memFile) Size() (size int64, err error) {
	err = f.m.all(f.op(OpSize, 0, 0), func() error {
		size = int64(len(f.node.data))
		return nil
	})
	return size, err
}

func (f *memFile) Close() error { return nil }
