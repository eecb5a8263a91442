package otlpreceiver

import (
	"encoding/binary"
	"strings"
)

// A request that is refused half way through its decompression has cost the
// better part of a taken one. So the room that it will need is taken at the
// start, as far as that can be known.
const (
	// usualRatio is how many times as large telemetry in batches is unpacked.
	usualRatio = 16
	// mostRatio is how far what a body says of itself is believed.
	mostRatio = 64
	// trustedUnpackedBytes is how much is expected of a body that is not there yet.
	trustedUnpackedBytes = 8 << 20
)

// streams says whether encoding does not tell ahead how much comes out. The
// others are sized by compress.
func streams(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "gzip", "x-gzip", "zlib", "deflate":
		return true
	}
	return false
}

// unpacked returns about how many bytes come out of wire, at most most; 0 if
// compress will know. A gzip member ends with its length (RFC 1952, section 2.3.1).
func unpacked(encoding string, wire []byte, most int) int {
	const trailerBytes = 8
	if !streams(encoding) || len(wire) < trailerBytes {
		return 0
	}
	n := uint64(binary.LittleEndian.Uint32(wire[len(wire)-4:]))
	if encoding != "gzip" || n > uint64(len(wire))*mostRatio {
		n = uint64(len(wire)) * usualRatio
	}
	return int(min(n, uint64(most)))
}
