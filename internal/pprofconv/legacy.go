package pprofconv

import (
	"encoding/binary"
	"math"
)

// IsLegacyCPU reports whether data begins like a CPU profile of gperftools:
//
//	0, 3 words of header follow, version 0, sampling period in µs, padding 0
//
// in words of 4 or 8 bytes, of either byte order.
func IsLegacyCPU(data []byte) bool {
	for _, order := range [...]binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, size := range [...]int{8, 4} {
			if isLegacyHeader(data, order, size) {
				return true
			}
		}
	}
	return false
}

func isLegacyHeader(data []byte, order binary.ByteOrder, size int) bool {
	const words = 5
	if len(data) < words*size {
		return false
	}
	var header [words]uint64
	for i := range header {
		if size == 8 {
			header[i] = order.Uint64(data[8*i:])
		} else {
			header[i] = uint64(order.Uint32(data[4*i:]))
		}
	}
	return header[0] == 0 && header[1] == 3 && header[2] == 0 && header[3] > 0 && header[3] <= math.MaxInt32 && header[4] == 0
}
