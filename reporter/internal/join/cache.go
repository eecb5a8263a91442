package join

import "reflect"

// cache maps keys to values within a bound of bytes, and counts what it evicts.
//
// Eviction is CLOCK: the entries are a ring, and a hand goes round. It spares an
// entry that was used since it last came by, once, and evicts one that was not. What
// was just reported is about to be asked for: a new entry counts as used and is put
// behind the hand, so that all that is older is looked at first.
type cache[K comparable, V any] struct {
	entries map[K]*entry[K, V]
	hand    *entry[K, V] // the next to be looked at, nil if there is none
	// bytes is the sum of the entries' bytes, and of what charge added. It is
	// above maxBytes only between insert or charge and makeRoom.
	bytes, maxBytes int
	// entryBytes is what an entry takes beside what its value points at.
	entryBytes int
	evicted    uint64
	// released is called with the value of each entry that leaves, if it is not nil.
	released func(*V)
}

type entry[K comparable, V any] struct {
	key        K
	value      V
	bytes      int
	used       bool // since the hand came by
	prev, next *entry[K, V]
}

// mapBytes is what an entry takes in a map: a key, a pointer and a byte of control for
// each slot. A map whose entries come and go was measured to have up to 4 slots an
// entry, for it splits rather than clean up.
func mapBytes[K comparable]() int { return 4 * (int(reflect.TypeFor[K]().Size()) + 8 + 1) }

func sizeOf[T any]() int { return roundUp(int(reflect.TypeFor[T]().Size())) }

// roundUp returns what the allocator takes for a small object, or nearly.
func roundUp(bytes int) int { return (bytes + 15) &^ 15 }

func newCache[K comparable, V any](maxBytes int, released func(*V)) cache[K, V] {
	return cache[K, V]{
		entries:    map[K]*entry[K, V]{},
		maxBytes:   maxBytes,
		entryBytes: sizeOf[entry[K, V]]() + mapBytes[K](),
		released:   released,
	}
}

// get returns the entry of a key, or nil. It counts as use.
func (c *cache[K, V]) get(k K) *entry[K, V] {
	e := c.entries[k]
	if e != nil {
		e.used = true
	}
	return e
}

// put stores a value that points at more bytes, in place of the key's older one.
// A value that is larger than the whole cache is not taken, but counted as evicted:
// put returns false, and the older value stays.
func (c *cache[K, V]) put(k K, v V, more int) bool {
	if c.entryBytes+more > c.maxBytes {
		c.evicted++
		return false
	}
	e := c.entries[k]
	if e == nil {
		e = c.insert(k, v, more)
	} else {
		c.bytes += c.entryBytes + more - e.bytes
		e.value, e.bytes, e.used = v, c.entryBytes+more, true
	}
	c.makeRoom(e)
	return true
}

// insert adds an entry for a key that has none. makeRoom must follow.
func (c *cache[K, V]) insert(k K, v V, more int) *entry[K, V] {
	e := &entry[K, V]{key: k, value: v, bytes: c.entryBytes + more, used: true}
	if c.hand == nil {
		e.prev, e.next = e, e
		c.hand = e
	} else {
		e.prev, e.next = c.hand.prev, c.hand
		e.prev.next, e.next.prev = e, e
	}
	c.entries[k] = e
	c.bytes += e.bytes
	return e
}

// charge adds bytes that several entries share. makeRoom must follow if they are
// more than 0.
func (c *cache[K, V]) charge(bytes int) { c.bytes += bytes }

// makeRoom evicts until the cache is within its bound. keep stays.
func (c *cache[K, V]) makeRoom(keep *entry[K, V]) {
	for c.bytes > c.maxBytes && len(c.entries) > 1 {
		e := c.hand
		c.hand = e.next
		if e == keep || e.used {
			e.used = false
			continue
		}
		c.evict(e)
	}
}

// evict removes an entry and counts it.
func (c *cache[K, V]) evict(e *entry[K, V]) {
	c.evicted++
	c.bytes -= e.bytes
	delete(c.entries, e.key)
	if c.hand == e {
		c.hand = e.next
	}
	if c.hand == e {
		c.hand = nil // it was the only one
	}
	e.prev.next, e.next.prev = e.next, e.prev
	if c.released != nil {
		c.released(&e.value)
	}
}
