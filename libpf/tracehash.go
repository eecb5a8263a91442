package libpf

import (
	"fmt"
	"hash/fnv"
	"strconv"
)

// TraceHash identifies a stack by its frames. Its text forms, and their differences
// from earlier profilers, are those of Hash128. In addition, the argument of Compare is
// a TraceHash; it used to be a Hash128.
type TraceHash struct{ Hash128 }

// NewTraceHash returns the hash with these halves.
func NewTraceHash(hi, lo uint64) TraceHash { return TraceHash{Hash128{hi, lo}} }

// TraceHashFromBytes decodes 16 bytes. Unlike FileIDFromBytes it rejects nil.
func TraceHashFromBytes(b []byte) (TraceHash, error) {
	h, err := hash128FromBytes(b)
	if err != nil {
		return TraceHash{}, fmt.Errorf("trace hash from bytes: %w", err)
	}
	return TraceHash{h}, nil
}

// TraceHashFromString parses the forms that FileIDFromString accepts.
func TraceHashFromString(s string) (TraceHash, error) {
	h, err := hash128FromString(s)
	if err != nil {
		return TraceHash{}, fmt.Errorf("trace hash %s: %w", quoteShort(s), err)
	}
	return TraceHash{h}, nil
}

// HashTrace returns the hash of a stack: the 128-bit FNV-1a hash of, for each frame,
// the 16 bytes of the file and the address or line in decimal digits.
//
// It does not include the types of the frames, and does not distinguish frames of
// interpreters without file and address. Thus equal hashes do not prove that two stacks
// are equal. Frames without a file or a line are ignored.
func HashTrace(trace *Trace) TraceHash {
	h := fnv.New128a()
	var row [hash128Bytes + 20]byte // 20 digits write any uint64
	for i := range min(len(trace.Files), len(trace.Linenos)) {
		file := trace.Files[i].array()
		b := append(row[:0], file[:]...)
		b = strconv.AppendUint(b, uint64(trace.Linenos[i]), 10)
		_, _ = h.Write(b) // a hash.Hash never fails
	}
	sum, _ := hash128FromBytes(h.Sum(row[:0]))
	return TraceHash{sum}
}

// Hash32 returns 32 bits of the hash, as a key for caches.
func (h TraceHash) Hash32() uint32 { return uint32(h.lo) }

// Equal reports whether both hashes are equal.
func (h TraceHash) Equal(other TraceHash) bool { return h == other }

// Less reports whether h sorts before other.
func (h TraceHash) Less(other TraceHash) bool { return h.Hash128.Less(other.Hash128) }

// Compare returns -1, 0 or +1, like Hash128.Compare.
func (h TraceHash) Compare(other TraceHash) int { return h.Hash128.Compare(other.Hash128) }
