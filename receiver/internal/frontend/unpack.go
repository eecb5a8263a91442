package frontend

import (
	"encoding/binary"
	"strings"
)

// A request that is refused half way through its decompression has cost the
// better part of an accepted one. So the room that it will need is taken at the
// start, as far as that can be known.
const (
	// usualRatio is how many times as large telemetry in batches is unpacked.
	usualRatio = 16
	// maxRatio limits the use of the size that a body declares, as a multiple
	// of its compressed size.
	maxRatio = 64
	// trustedBytes and trustedUnpackedBytes are the maximum that is acquired for
	// the declared length of a body. So a client that only declares a length cannot
	// use up the budget of others.
	trustedBytes         = 1 << 20
	trustedUnpackedBytes = 8 << 20
)

// streams reports whether the decompressed size of encoding is unknown in
// advance. For the other encodings decompress determines the size.
func streams(encoding string) bool {
	switch strings.ToLower(encoding) {
	case "gzip", "x-gzip", "zlib", "deflate":
		return true
	}
	return false
}

// UnpackedBytes returns about how many bytes come out of wire, at most max; 0 if
// decompress will know. A gzip member ends with its length (RFC 1952, section 2.3.1).
func UnpackedBytes(encoding string, wire []byte, max int) int {
	const trailerBytes = 8
	if !streams(encoding) || len(wire) < trailerBytes {
		return 0
	}
	n := uint64(binary.LittleEndian.Uint32(wire[len(wire)-4:]))
	if encoding != "gzip" || n > uint64(len(wire))*maxRatio {
		n = uint64(len(wire)) * usualRatio
	}
	return int(min(n, uint64(max)))
}

// FirstBytes returns how many bytes of buffers a body takes first that is announced
// with a length of n bytes, and comes out of encoding with at most max; 0 if that
// shows later.
func FirstBytes(encoding string, n int64, max int) int {
	switch {
	case n <= 0:
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		return int(min(n, trustedBytes))
	case streams(encoding):
		return int(min(n*usualRatio, trustedUnpackedBytes, int64(max)))
	}
	return 0
}
