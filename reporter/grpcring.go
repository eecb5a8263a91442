package reporter

// ring is a queue of at most max entries that forgets the oldest when it is
// full. It grows with what is put into it, so that a large bound costs nothing
// until it is used. It is not safe for concurrent use.
//
//	items  [ c d e . . a b ]     n = 5 of them are in use, from head on,
//	                 head        around the end
type ring[T any] struct {
	items   []T
	head, n int
	max     int
}

// firstRingEntries is what a ring begins with.
const firstRingEntries = 16

// push appends v. It reports whether the oldest entry was evicted for it.
func (r *ring[T]) push(v T) (overwrote bool) {
	if r.n == len(r.items) && r.n < r.max {
		r.grow()
	}
	if r.n == r.max {
		r.items[r.head] = v
		r.head = (r.head + 1) % r.max
		return true
	}
	r.items[(r.head+r.n)%len(r.items)] = v
	r.n++
	return false
}

// oldest returns the entry that the next push evicts, if the ring is full.
func (r *ring[T]) oldest() (v T, full bool) {
	if r.n < r.max || r.n == 0 {
		return v, false
	}
	return r.items[r.head], true
}

func (r *ring[T]) grow() {
	larger := make([]T, min(r.max, max(firstRingEntries, 2*len(r.items))))
	r.copyTo(larger)
	r.items, r.head = larger, 0
}

// drain takes all entries out, oldest first. nil if there are none.
func (r *ring[T]) drain() []T {
	if r.n == 0 {
		return nil
	}
	all := make([]T, r.n)
	r.copyTo(all)
	clear(r.items) // lets go of what the entries point at
	r.head, r.n = 0, 0
	return all
}

func (r *ring[T]) copyTo(dst []T) {
	tail := min(r.n, len(r.items)-r.head)
	copy(dst, r.items[r.head:r.head+tail])
	copy(dst[tail:], r.items[:r.n-tail])
}
