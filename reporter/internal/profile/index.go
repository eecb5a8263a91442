package profile

// index finds entries of a list by their hash: open addressing over the entries'
// numbers. Hashes are kept beside, so that growing needs nobody else.
type index struct {
	slots []uint32 // number of the entry + 1; 0 is free
	hash  []uint64 // by entry
}

const indexMinSlots = 64

// find returns the entry with this hash that equal takes.
func (x *index) find(hash uint64, equal func(i uint32) bool) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(x.slots) - 1)
	for at := hash & mask; ; at = (at + 1) & mask {
		n := x.slots[at]
		if n == 0 {
			return 0, false
		}
		if x.hash[n-1] == hash && equal(n-1) {
			return n - 1, true
		}
	}
}

// add numbers a new entry, which find has not found.
func (x *index) add(hash uint64) uint32 {
	if len(x.hash)*4 >= len(x.slots)*3 {
		x.grow()
	}
	x.hash = append(x.hash, hash)
	x.put(hash, uint32(len(x.hash)))
	return uint32(len(x.hash) - 1)
}

// room makes room for n entries in an empty index.
func (x *index) room(n int) {
	slots := indexMinSlots
	for slots*3 <= n*4 {
		slots *= 2
	}
	x.slots, x.hash = make([]uint32, slots), make([]uint64, 0, n)
}

func (x *index) put(hash uint64, n uint32) {
	mask := uint64(len(x.slots) - 1)
	at := hash & mask
	for x.slots[at] != 0 {
		at = (at + 1) & mask
	}
	x.slots[at] = n
}

func (x *index) grow() {
	x.slots = make([]uint32, max(indexMinSlots, 2*len(x.slots)))
	for i, h := range x.hash {
		x.put(h, uint32(i+1))
	}
}

func (x *index) reset() {
	clear(x.slots)
	x.hash = x.hash[:0]
}

// indexEntryBytes is what an entry takes in an index, about.
const indexEntryBytes = 8 + 2*4
