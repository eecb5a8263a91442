// Package bufpool lends byte buffers and takes them back.
//
//	Get(n) ──► *[]byte of length n, contents undefined ──► Put
//
// Buffers come in classes of powers of two; each class is a sync.Pool, so what
// nobody uses goes back to the garbage collector. Unlike gRPC's default pool a
// buffer is not cleared when it is lent: for a 437 KB request that alone costs
// as much as checking it.
//
// The one trap: a buffer must not be used after Put. Builds with the tag
// "poison" overwrite returned buffers so that such a use shows itself.
package bufpool

import (
	"math/bits"
	"sync"
)

const (
	minClass = 8  // 256 B, the smallest buffer worth keeping
	maxClass = 24 // 16 MiB; larger ones are the garbage collector's
)

// pools is a cache and nothing more: emptying it changes speed, not behaviour.
var pools [maxClass + 1]sync.Pool

// Get lends a buffer of length n bytes with undefined contents.
func Get(n int) *[]byte {
	c := classFor(n)
	if c > maxClass {
		b := make([]byte, n)
		return &b
	}
	if p, _ := pools[c].Get().(*[]byte); p != nil {
		*p = (*p)[:n]
		return p
	}
	b := make([]byte, n, 1<<c)
	return &b
}

// Put takes back a buffer that Get lent, or any other whose capacity it can use.
func Put(p *[]byte) {
	if p == nil {
		return
	}
	c := bits.Len(uint(cap(*p))) - 1 // the class whose size the capacity reaches
	if c < minClass || cap(*p) > 1<<maxClass {
		return
	}
	poison((*p)[:cap(*p)])
	pools[c].Put(p)
}

// Grow returns a buffer that holds *p's contents and has room for extra more
// bytes; p itself goes back to the pool if a larger one had to be lent.
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

// Class returns the capacity of a buffer that is made for n bytes. A buffer that
// Get lends may be larger: one that Put took with an odd capacity is lent as it is.
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

// GRPC is the pool in the shape that google.golang.org/grpc/mem.BufferPool asks for.
type GRPC struct{}

// Get lends a buffer of length n.
func (GRPC) Get(n int) *[]byte { return Get(n) }

// Put takes it back.
func (GRPC) Put(p *[]byte) { Put(p) }
