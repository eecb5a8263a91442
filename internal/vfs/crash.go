package vfs

import (
	"maps"
	"math/rand/v2"
	"path"
	"slices"
)

// Mode says what a crash keeps of what was not synced.
type Mode uint8

// The modes of Crash.
const (
	// KeepAll is the end of the process alone: the operating system keeps everything.
	KeepAll Mode = iota
	// DropAll forgets everything that was not synced.
	DropAll
	// KeepFirst keeps what was written first, and changes of entries, up to some point.
	KeepFirst
	// KeepSome keeps any sectors, lengths and changes of entries.
	KeepSome
	// Tear is KeepSome that cuts sectors in two as well.
	Tear
	// KeepLengths keeps entries and lengths; what was written over nothing is zeros.
	KeepLengths
	// Modes is how many there are.
	Modes
)

func (m Mode) String() string {
	return [...]string{"keep all", "drop all", "keep the first", "keep some", "tear", "keep lengths"}[m]
}

// Crash returns the file system as a machine could find it that lost its power now. m
// goes on unchanged. The same random numbers give the same result.
func (m *Mem) Crash(mode Mode, r *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	image := NewMem(m.capacity)
	entries := m.crashedNames(mode, r)
	for _, name := range slices.Sorted(maps.Keys(entries.files)) {
		if !entries.dirs[path.Dir(name)] {
			continue // its folder is lost
		}
		node := entries.files[name].crashed(mode, r)
		image.files[name], image.disk.files[name] = node, node
		image.used += int64(len(node.pages)) * pageSize
	}
	image.dirs, image.disk.dirs = entries.dirs, maps.Clone(entries.dirs)
	return image
}

func (m *Mem) crashedNames(mode Mode, r *rand.Rand) names {
	entries := names{files: maps.Clone(m.disk.files), dirs: maps.Clone(m.disk.dirs)}
	first := 0
	if mode == KeepFirst {
		first = r.IntN(len(m.pending) + 1)
	}
	for i, o := range m.pending {
		switch mode {
		case DropAll:
			continue
		case KeepFirst:
			if i >= first {
				continue
			}
		case KeepSome, Tear:
			if r.IntN(2) == 0 {
				continue
			}
		}
		o.apply(entries)
	}
	return entries
}

// crashed returns what is left of a file.
func (n *inode) crashed(mode Mode, r *rand.Rand) *inode {
	image := newInode()
	image.pages = maps.Clone(n.pages)
	switch mode {
	case KeepAll:
		image.data = slices.Clone(n.data)
	case DropAll:
		image.data = slices.Clone(n.disk)
	default:
		image.data = n.mixed(mode, r)
	}
	image.disk = image.data
	image.data = slices.Clone(image.data)
	return image
}

// mixed is the content of the disk with some of what was written since.
func (n *inode) mixed(mode Mode, r *rand.Rand) []byte {
	size := len(n.disk)
	if n.resized && (mode == KeepLengths || r.IntN(2) == 0) {
		size = len(n.data)
	}
	b := resized(n.disk, size)
	last := r.IntN(n.order + 1)
	for _, s := range slices.Sorted(maps.Keys(n.dirty)) {
		switch {
		case mode == KeepLengths && s*sectorSize >= int64(len(n.disk)):
		case mode == KeepFirst && n.dirty[s] >= last:
		case (mode == KeepSome || mode == KeepLengths) && r.IntN(2) == 0:
		case mode == Tear:
			n.tear(b, s, r)
		default:
			copySector(b, n.data, s, sectorSize)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(n.lost)) {
		if mode != KeepFirst && r.IntN(4) == 0 {
			copySector(b, n.data, s, sectorSize)
		}
	}
	return b
}

// tear writes none, all, or a part of a sector, or zeros.
func (n *inode) tear(b []byte, sector int64, r *rand.Rand) {
	switch r.IntN(4) {
	case 0:
	case 1:
		copySector(b, n.data, sector, sectorSize)
	case 2:
		copySector(b, n.data, sector, r.Int64N(sectorSize))
	case 3:
		if sector*sectorSize >= int64(len(n.disk)) { // never written: blocks without content
			copySector(b, make([]byte, len(b)), sector, sectorSize)
		}
	}
}
