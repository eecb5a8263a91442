package pipeline

import "fmt"

// Codec is the format of compressed bytes. It is not the name in a header, which may
// mean several formats: over HTTP snappy is a block or a framed stream, over gRPC a framed
// stream, and deflate is a zlib stream or a bare one, which has no Codec.
type Codec uint8

// The codecs. Their numbers are stored (package delivery/record).
const (
	CodecNone         Codec = iota // not compressed
	CodecGzip                      // members (RFC 1952)
	CodecZstd                      // frames (RFC 8878)
	CodecZlib                      // one stream (RFC 1950)
	CodecSnappyBlock               // one block
	CodecSnappyFramed              // streams of chunks
	CodecLZ4                       // frames

	numCodecs
)

// codecNames are the names in config.Compression, which have one format each.
var codecNames = [numCodecs]string{
	CodecNone: "none", CodecGzip: "gzip", CodecZstd: "zstd", CodecZlib: "zlib",
	CodecSnappyBlock: "snappy", CodecSnappyFramed: "x-snappy-framed", CodecLZ4: "lz4",
}

// String returns the codec's name.
func (c Codec) String() string {
	if c >= numCodecs {
		return fmt.Sprintf("codec %d", uint8(c))
	}
	return codecNames[c]
}

// CodecNamed returns the codec with the name that String returns, CodecNone if there is
// none.
func CodecNamed(name string) Codec {
	for c, n := range codecNames {
		if n == name {
			return Codec(c)
		}
	}
	return CodecNone
}

// CanJoin reports whether compressed bytes of the codec that are laid end to end are
// compressed bytes of the data laid end to end, for a reader that reads several members,
// frames or streams.
func (c Codec) CanJoin() bool {
	switch c {
	case CodecGzip, CodecZstd, CodecSnappyFramed, CodecLZ4:
		return true
	}
	return false
}

// CodecSet is a set of codecs. The zero value is empty. CodecNone is in no set.
type CodecSet uint16

// CodecsOf returns a set.
func CodecsOf(codecs ...Codec) (s CodecSet) {
	for _, c := range codecs {
		if c != CodecNone && c < numCodecs {
			s |= 1 << c
		}
	}
	return s
}

// AllCodecs returns the set of all codecs.
func AllCodecs() CodecSet { return 1<<numCodecs - 1<<(CodecNone+1) }

// Has reports whether c is in the set.
func (s CodecSet) Has(c Codec) bool { return c < numCodecs && s>>c&1 != 0 }
