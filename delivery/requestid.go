package delivery

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// requestID returns the id of a job, or of the part of it that ends at end, as a UUID of
// version 8. It is a hash of the name of the cursor and of the records: of each its
// sequence and the random id of its segment, which no other journal has, nor the same
// journal after it was set back to an earlier state. So it needs nothing that is kept.
func (d *Destination) requestID(j *job, end int) string {
	h := sha256.New()
	var b [16]byte
	pair := func(x, y uint64) {
		binary.LittleEndian.PutUint64(b[:], x)
		binary.LittleEndian.PutUint64(b[8:], y)
		h.Write(b[:])
	}
	pair(uint64(len(d.cfg.Name)), uint64(len(j.entries)))
	h.Write([]byte(d.cfg.Name))
	for _, e := range j.entries {
		pair(e.Segment(), e.Sequence)
	}
	if j.parts != nil {
		pair(uint64(j.parts.limits.Skip), uint64(end))
	}
	id := h.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
