package decompress

import (
	"encoding/binary"
	"math/bits"
)

// xxh32 is xxHash's 32-bit checksum with seed 0 (the xxHash specification,
// section "XXH32 Algorithm Description"), which LZ4 frames carry. The LZ4 library
// has it in an internal package.
func xxh32(b []byte) uint32 {
	const p1, p2, p3, p4, p5 uint32 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
	n := uint32(len(b))
	h := p5
	if len(b) >= 16 {
		var v0, v1, v2, v3 uint32 = p1, p2, 0, 0
		v0 += p2
		v3 -= p1
		for ; len(b) >= 16; b = b[16:] {
			v0 = bits.RotateLeft32(v0+binary.LittleEndian.Uint32(b)*p2, 13) * p1
			v1 = bits.RotateLeft32(v1+binary.LittleEndian.Uint32(b[4:])*p2, 13) * p1
			v2 = bits.RotateLeft32(v2+binary.LittleEndian.Uint32(b[8:])*p2, 13) * p1
			v3 = bits.RotateLeft32(v3+binary.LittleEndian.Uint32(b[12:])*p2, 13) * p1
		}
		h = bits.RotateLeft32(v0, 1) + bits.RotateLeft32(v1, 7) + bits.RotateLeft32(v2, 12) + bits.RotateLeft32(v3, 18)
	}
	h += n
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
