package journal

import (
	"slices"
	"sync"

	"github.com/penstock-telemetry/penstock/internal/vfs"
)

// maxFiles is how many segments are kept open for reading while nobody reads them.
const maxFiles = 8

// files are the segments that are open for reading.
type files struct {
	fs vfs.FS

	mu     sync.Mutex
	open   []*openFile // the one that was used last is the last
	closed bool
}

type openFile struct {
	vfs.File
	name  string
	users int
	gone  bool // not in the list any more
}

// get returns the file of a segment. The caller calls put when it has read.
func (f *files) get(name string) (*openFile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(name); i >= 0 {
		o := f.open[i]
		f.open = append(slices.Delete(f.open, i, i+1), o)
		o.users++
		return o, nil
	}
	if f.closed {
		return nil, ErrClosed
	}
	file, err := f.fs.Open(name, false)
	if err != nil {
		return nil, err
	}
	o := &openFile{File: file, name: name, users: 1}
	f.open = append(f.open, o)
	for i := 0; len(f.open) > maxFiles && i < len(f.open); i++ {
		if f.open[i].users == 0 {
			f.drop(i)
			i--
		}
	}
	return o, nil
}

func (f *files) find(name string) int {
	return slices.IndexFunc(f.open, func(o *openFile) bool { return o.name == name })
}

func (f *files) put(o *openFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	o.users--
	if o.gone && o.users == 0 {
		_ = o.Close() // it was only read
	}
}

// forget closes the file of a segment that is removed, when its users have put it.
func (f *files) forget(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.find(name); i >= 0 {
		f.drop(i)
	}
}

// drop takes a file out of the list.
func (f *files) drop(i int) {
	o := f.open[i]
	f.open = slices.Delete(f.open, i, i+1)
	o.gone = true
	if o.users == 0 {
		_ = o.Close() // it was only read
	}
}

// close closes the files, those that are being read when their users have put them.
func (f *files) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.open) > 0 {
		f.drop(0)
	}
	f.closed = true
}
