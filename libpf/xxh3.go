package libpf

import (
	"encoding/binary"
	"math/bits"
)

// xxh3 is XXH3's 64-bit hash, seed 0, of inputs of 17 to 32 bytes (the xxHash
// specification, "XXH3 Algorithm Overview", "Medium inputs"): all that is hashed here
// has 24. The library for all lengths would be two more modules for each profiler.
func xxh3(b []byte) uint64 {
	const prime = 0x9E3779B185EBCA87
	// The first four words of the default secret.
	const s0, s1, s2, s3 = 0xbe4ba423396cfeb8, 0x1cad21f72c81017c, 0xdb979083e96dd4de, 0x1f67b3b7a4a44072
	n := len(b)
	acc := uint64(n) * prime
	acc += xxh3Mix(b, s0, s1)
	acc += xxh3Mix(b[n-16:], s2, s3)
	acc ^= acc >> 37
	acc *= 0x165667919E3779F9
	return acc ^ acc>>32
}

func xxh3Mix(b []byte, s0, s1 uint64) uint64 {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(b)^s0, binary.LittleEndian.Uint64(b[8:])^s1)
	return hi ^ lo
}
