package vfs

// sectorSize is the unit in which a Mem remembers what is on the disk, and what it
// tears when it crashes.
const sectorSize = 512

// inode is a file's content: as programs see it, and as it is on the disk.
type inode struct {
	data  []byte
	disk  []byte
	pages map[int64]bool // that have room on the disk
	// dirty has the sectors that differ, or may: the next Sync writes them. The value
	// is the order in which they were written first.
	dirty map[int64]int
	order int
	// lost has sectors that a failed Sync left: they count as written.
	lost map[int64]bool
	// resized says that the disk has another length.
	resized bool
}

func newInode() *inode {
	return &inode{pages: map[int64]bool{}, dirty: map[int64]int{}, lost: map[int64]bool{}}
}

func (n *inode) write(b []byte, off int64) {
	if end := off + int64(len(b)); end > int64(len(n.data)) {
		n.resize(end)
	}
	copy(n.data[off:], b)
	for s := off / sectorSize; s*sectorSize < off+int64(len(b)); s++ {
		if _, is := n.dirty[s]; !is {
			n.dirty[s] = n.order
			n.order++
		}
		delete(n.lost, s)
	}
}

func (n *inode) resize(size int64) {
	if size == int64(len(n.data)) {
		return
	}
	if size < int64(len(n.data)) {
		n.data = n.data[:size:size] // grown again, it is zeros
	} else {
		n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
	}
	n.resized = true
}

// release gives the pages from size on back, and returns their bytes.
func (n *inode) release(size int64) (bytes int64) {
	for page := range n.pages {
		if page*pageSize >= size {
			delete(n.pages, page)
			bytes += pageSize
		}
	}
	return bytes
}

func (n *inode) sync() {
	n.disk = resized(n.disk, len(n.data))
	for s := range n.dirty {
		copySector(n.disk, n.data, s, sectorSize)
	}
	clear(n.dirty)
	n.order, n.resized = 0, false
}

// forget makes what is dirty lost.
func (n *inode) forget() {
	for s := range n.dirty {
		n.lost[s] = true
	}
	clear(n.dirty)
}

// resized returns b with length n, in memory of its own.
func resized(b []byte, n int) []byte {
	r := make([]byte, n)
	copy(r, b)
	return r
}

// copySector copies the first n bytes of a sector from src to dst, as far as both
// have it.
func copySector(dst, src []byte, sector, n int64) {
	from := sector * sectorSize
	to := min(from+n, int64(len(dst)), int64(len(src)))
	if from < to {
		copy(dst[from:to], src[from:to])
	}
}
