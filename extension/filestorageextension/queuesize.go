package filestorageextension

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The number of requests in a queue of the Collector is read from bbolt's file, which is a
// B+ tree: meta page → root bucket → bucket "default" → key "qmv0", or "ri", "wi" and "di"
// in older versions. All numbers are in the byte order of the machine, here little-endian.
//
//	page     id 8, flags 2, count 2, overflow 4, then count elements
//	branch   offset of the key from here 4, length 4, page id 8
//	leaf     flags 4, offset of the key 4, its length 4, length of the value after it 4
//	bucket   page id 8, sequence 8; with the page id 0 the page follows
//	meta     magic 4, version 4, page size 4, flags 4, bucket 16, 16 more, transaction 8, FNV-1a 8

var errNotAQueue = errors.New("the file is not a queue, or is damaged")

const (
	pageHeader   = 16
	elementBytes = 16
	metaBytes    = 64
	branchPage   = 1
	leafPage     = 2
	// maxDepth is more than the depth of any tree that fits a disk.
	maxDepth = 32
	// maxKey and maxValue bound what is read; the keys and values here are shorter.
	maxKey   = 1 << 10
	maxValue = 1 << 20
)

var order = binary.LittleEndian

// bboltTree is the tree of a file.
type bboltTree struct {
	f        io.ReaderAt
	pageSize int64
}

// queueSize returns how many requests a queue has that were not delivered.
func queueSize(f io.ReaderAt) (uint64, error) {
	meta, err := readMeta(f)
	if err != nil {
		return 0, err
	}
	t := bboltTree{f, int64(order.Uint32(meta[8:]))}
	bucket, err := t.find(order.Uint64(meta[16:]), "default")
	if err != nil {
		return 0, err
	}
	if len(bucket) < 16 {
		return 0, errNotAQueue
	}
	find := func(key string) ([]byte, error) {
		if page := order.Uint64(bucket); page != 0 {
			return t.find(page, key)
		}
		inline := bboltTree{bytes.NewReader(bucket[16:]), 1 << 30}
		return inline.find(0, key)
	}
	return countRequests(find)
}

// readMeta returns the newer one of the two meta pages that is not damaged.
func readMeta(f io.ReaderAt) (meta []byte, err error) {
	for _, at := range bboltPages {
		b := make([]byte, metaBytes)
		if _, err := f.ReadAt(b, at+pageHeader); err != nil {
			break
		}
		sum := fnv.New64a()
		sum.Write(b[:56])
		if order.Uint32(b) != bboltMagic || order.Uint64(b[56:]) != sum.Sum64() {
			continue
		}
		if meta == nil || order.Uint64(b[48:]) > order.Uint64(meta[48:]) {
			meta = b
		}
	}
	if meta == nil || order.Uint32(meta[8:]) < 512 {
		return nil, errNotAQueue
	}
	return meta, nil
}

// find returns the value of a key below a page, nil if there is none.
func (t *bboltTree) find(page uint64, key string) ([]byte, error) {
	for range maxDepth {
		if page > 1<<40 {
			return nil, errNotAQueue
		}
		base := int64(page) * t.pageSize
		header, err := t.read(base, pageHeader)
		if err != nil {
			return nil, err
		}
		count := int(order.Uint16(header[10:]))
		table, err := t.read(base+pageHeader, count*elementBytes)
		if err != nil {
			return nil, err
		}
		switch order.Uint16(header[8:]) {
		case leafPage:
			return t.findInLeaf(base+pageHeader, table, key)
		case branchPage:
			if page, err = t.child(base+pageHeader, table, key); err != nil {
				return nil, err
			}
		default:
			return nil, errNotAQueue
		}
	}
	return nil, errNotAQueue
}

// child returns the page below a branch that can have the key: that of the last element
// whose key is not greater.
func (t *bboltTree) child(at int64, table []byte, key string) (page uint64, err error) {
	for i := 0; i < len(table); i += elementBytes {
		element := table[i:]
		k, err := t.key(at+int64(i)+int64(order.Uint32(element)), order.Uint32(element[4:]))
		if err != nil {
			return 0, err
		}
		if i > 0 && string(k) > key {
			break
		}
		page = order.Uint64(element[8:])
	}
	return page, nil
}

func (t *bboltTree) findInLeaf(at int64, table []byte, key string) ([]byte, error) {
	for i := 0; i < len(table); i += elementBytes {
		element := table[i:]
		size := order.Uint32(element[8:])
		if int(size) != len(key) {
			continue
		}
		keyAt := at + int64(i) + int64(order.Uint32(element[4:]))
		k, err := t.key(keyAt, size)
		if err != nil {
			return nil, err
		}
		if string(k) == key {
			if n := order.Uint32(element[12:]); n <= maxValue {
				return t.read(keyAt+int64(size), int(n))
			}
			return nil, errNotAQueue
		}
	}
	return nil, nil
}

func (t *bboltTree) key(at int64, n uint32) ([]byte, error) {
	if n > maxKey {
		return nil, errNotAQueue
	}
	return t.read(at, int(n))
}

func (t *bboltTree) read(at int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := t.f.ReadAt(b, at); err != nil {
		return nil, errNotAQueue
	}
	return b, nil
}

// countRequests returns the number of requests from the read to the write index and of
// those that were being sent.
func countRequests(find func(key string) ([]byte, error)) (uint64, error) {
	b, err := find("qmv0")
	if err != nil {
		return 0, err
	}
	if len(b) > 0 {
		return countOfMetadata(b)
	}
	var read, write, sending uint64
	for key, to := range map[string]*uint64{"ri": &read, "wi": &write} {
		if b, err = find(key); err != nil || len(b) < 8 {
			return 0, errors.Join(errNotAQueue, err)
		}
		*to = order.Uint64(b)
	}
	if b, err = find("di"); err != nil {
		return 0, err
	}
	if len(b) >= 4 {
		sending = uint64(order.Uint32(b))
	}
	return waiting(read, write) + sending, nil
}

func waiting(read, write uint64) uint64 {
	if write < read {
		return 0
	}
	return write - read
}

// countOfMetadata reads the Collector's PersistentMetadata: fields of 8 bytes, of which 3 is
// the read index and 4 the write index, and 5, packed or not, those that were being sent.
func countOfMetadata(b []byte) (uint64, error) {
	var read, write, sending uint64
	for len(b) > 0 {
		tag := b[0]
		switch tag & 7 {
		case 1:
			if len(b) < 9 {
				return 0, errNotAQueue
			}
			switch tag >> 3 {
			case 3:
				read = order.Uint64(b[1:])
			case 4:
				write = order.Uint64(b[1:])
			case 5:
				sending++
			}
			b = b[9:]
		case 2:
			n, k := binary.Uvarint(b[1:])
			if k <= 0 || n > uint64(len(b)-1-k) {
				return 0, errNotAQueue
			}
			if tag>>3 == 5 {
				sending += n / 8
			}
			b = b[1+k+int(n):]
		default:
			return 0, errNotAQueue
		}
	}
	return waiting(read, write) + sending, nil
}
