package libpf

// Address is an address in a process, or an offset in a file.
type Address uint64

// AddressOrLineno is an address in an executable or a line number in a source file.
type AddressOrLineno uint64

// SourceLineno is a line number in a source file, from 1; 0 means unknown.
type SourceLineno uint64

// Hash returns a hash of the address, the finalizer of MurmurHash3. Different
// addresses have different hashes.
func (a Address) Hash() uint64 {
	x := uint64(a)
	x = (x ^ x>>33) * 0xff51afd7ed558ccd
	x = (x ^ x>>33) * 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// Hash32 returns the lower half of Hash, as a key for caches.
func (a Address) Hash32() uint32 { return uint32(a.Hash()) }
