package pprofconv

import (
	"encoding/binary"
	"testing"
)

func TestIsLegacyCPU(t *testing.T) {
	t.Parallel()
	words := func(append64 bool, order binary.AppendByteOrder, list ...uint64) (b []byte) {
		for _, w := range list {
			if append64 {
				b = order.AppendUint64(b, w)
			} else {
				b = order.AppendUint32(b, uint32(w))
			}
		}
		return b
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, wide := range []bool{false, true} {
			good := words(wide, order, 0, 3, 0, 10_000, 0, 1, 1, 0x401000)
			if !IsLegacyCPU(good) || IsLegacyCPU(good[:len(good)/2]) {
				t.Errorf("%v, wide %t: not recognized, or too short", order, wide)
			}
			for _, bad := range [][]byte{
				words(wide, order, 1, 3, 0, 10_000, 0), words(wide, order, 0, 4, 0, 10_000, 0), words(wide, order, 0, 3, 0, 0, 0), words(wide, order, 0, 3, 0, 10_000, 1),
			} {
				if IsLegacyCPU(bad) {
					t.Errorf("%x passes", bad)
				}
			}
		}
	}
}
