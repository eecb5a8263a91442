package attraction

const keyBuckets = 256

// keyTable finds the slot of a key. It compares one key in most cases, and none for
// most keys that have no slot.
type keyTable struct {
	heads [keyBuckets]uint16 // 1 + a slot
	next  []uint16           // of each slot, 1 + the next one of the same bucket
	names []string
}

// maxSlots is how many keys a table has room for.
const maxSlots = 1<<16 - 1

func bucketOf[T string | []byte](key T) uint8 {
	n := len(key)
	if n == 0 {
		return 0
	}
	return uint8(n*7) ^ key[0] ^ key[n-1]<<3 ^ key[n/2]<<5
}

func (t *keyTable) add(key string) (slot int) {
	slot = len(t.names)
	b := bucketOf(key)
	t.names = append(t.names, key)
	t.next = append(t.next, t.heads[b])
	t.heads[b] = uint16(slot + 1)
	return slot
}

// find returns noSlot for a key that has none.
func (t *keyTable) find(key []byte) int {
	for at := t.heads[bucketOf(key)]; at != 0; at = t.next[at-1] {
		if t.names[at-1] == string(key) {
			return int(at - 1)
		}
	}
	return noSlot
}
