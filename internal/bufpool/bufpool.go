// Package bufpool is a pool of byte buffers.
//
//	Get(n) ──► *[]byte of length n, contents undefined ──► Put
//
// The sizes of the buffers are powers of two. Each size has a sync.Pool, so that the
// garbage collector frees unused buffers; from 128 KiB on all but a few are held
// weakly, and collected before they become too many (see largePool). Unlike the default pool of
// gRPC, it does not clear buffers: for a request of 437 KB, that costs as much as
// checking it.
//
// The caller of Get owns the buffer and must not use it after Put. Builds with the tag
// "poison" overwrite the buffer in Put, to make such errors visible.
package bufpool

import (
	"math/bits"
	"sync"
)

const (
	minClass = 8  // 256 B, the smallest pooled buffer
	maxClass = 24 // 16 MiB, the largest pooled buffer
)

// pools and large are caches: to empty them changes the speed only.
var (
	pools [minLarge]sync.Pool
	large largePool
)

// Get returns a buffer of length n with undefined contents.
func Get(n int) *[]byte {
	c := classFor(n)
	if c >= minLarge {
		return getLarge(c, n)
	}
	if p, _ := pools[c].Get().(*[]byte); p != nil {
		*p = (*p)[:n]
		return p
	}
	b := make([]byte, n, 1<<c)
	return &b
}

func getLarge(c, n int) *[]byte {
	size := n
	if c <= maxClass {
		size = 1 << c
	} else {
		c = maxClass + 1
	}
	if p := large.get(c, n); p != nil {
		*p = (*p)[:n]
		return p
	}
	large.makeRoom()
	b := make([]byte, n, size)
	return &b
}

// Put puts a buffer into the pool. It does not have to come from Get; the pool drops
// buffers that are too small.
func Put(p *[]byte) {
	if p == nil {
		return
	}
	c := bits.Len(uint(cap(*p))) - 1 // the largest class that it can serve
	if c < minClass {
		return
	}
	poison((*p)[:cap(*p)])
	switch {
	case c < minLarge:
		pools[c].Put(p)
	case c <= maxClass && cap(*p) == 1<<c:
		large.put(c, p)
	default: // of another size than any class
		large.put(maxClass+1, p)
	}
}

// Grow returns a buffer with the contents of *p and capacity for extra more bytes:
// p itself, or a larger buffer, in which case p is put into the pool.
func Grow(p *[]byte, extra int) *[]byte {
	n := len(*p)
	if cap(*p)-n >= extra {
		return p
	}
	q := Get(max(n+extra, 2*cap(*p)))
	*q = (*q)[:copy((*q)[:n], *p)]
	Put(p)
	return q
}

// Class returns the capacity of a new buffer for n bytes. Get can return a larger
// one, since buffers that were put into the pool can have any capacity.
func Class(n int) int {
	if c := classFor(n); c <= maxClass {
		return 1 << c
	}
	return n
}

// classFor returns the exponent of the smallest class that holds n bytes.
func classFor(n int) int {
	if n <= 1<<minClass {
		return minClass
	}
	return bits.Len(uint(n - 1))
}

// GRPC implements google.golang.org/grpc/mem.BufferPool with the pool.
type GRPC struct{}

// Get returns a buffer of length n with undefined contents.
func (GRPC) Get(n int) *[]byte { return Get(n) }

// Put puts a buffer into the pool.
func (GRPC) Put(p *[]byte) { Put(p) }
