package config

import (
	"fmt"
	"slices"
	"strings"
)

// Compression names how a client compresses its requests.
type Compression string

// The values. The empty string means NoCompression. A gRPC client supports
// NoCompression, Gzip, Zstd and Snappy, an HTTP client all.
const (
	NoCompression Compression = "none"
	Gzip          Compression = "gzip"
	Zstd          Compression = "zstd"
	Zlib          Compression = "zlib"
	Deflate       Compression = "deflate" // zlib by HTTP's name (RFC 9110, section 8.4.1.2)
	// Snappy is the block format in HTTP and the framed one in gRPC, as in the
	// Collector.
	Snappy       Compression = "snappy"
	SnappyFramed Compression = "x-snappy-framed"
	LZ4          Compression = "lz4"
)

// ValidateHTTP returns an error if HTTP clients do not support c.
func (c Compression) ValidateHTTP() error { return c.oneOf(Encodings()) }

// ValidateGRPC returns an error if gRPC clients do not support c.
func (c Compression) ValidateGRPC() error { return c.oneOf(GRPCEncodings()) }

func (c Compression) oneOf(known []string) error {
	if c == "" || c == NoCompression || slices.Contains(known, string(c)) {
		return nil
	}
	return fmt.Errorf("unknown compression %q: expected %s or none", string(c), strings.Join(known, ", "))
}

// Encoding returns the name on the wire, the same in HTTP and in gRPC; "" if
// there is no compression.
func (c Compression) Encoding() string {
	if c == NoCompression {
		return ""
	}
	return string(c)
}

// CompressionParams tune a compression.
type CompressionParams struct {
	// Level trades CPU for size: 1 to 9 for gzip, zlib and deflate, 1 to 22 for
	// zstd. 0 is the compressor's default, and the only value for the other
	// compressors. gzip, zlib and deflate also accept -1 (the same default) and
	// -2 (Huffman coding only).
	Level int `yaml:"level"`
}

// ValidateFor returns an error if c does not support the level.
func (p CompressionParams) ValidateFor(c Compression) error {
	lowest, highest := 0, 0
	switch c {
	case Gzip, Zlib, Deflate:
		lowest, highest = -2, 9
	case Zstd:
		highest = 22
	}
	if p.Level < lowest || p.Level > highest {
		return Atf("level", "level %d is not valid for compression %q: expected %d to %d",
			p.Level, string(c), lowest, highest)
	}
	return nil
}

// Encodings returns the supported content encodings of OTLP/HTTP, without
// "none".
func Encodings() []string {
	return []string{"gzip", "zstd", "zlib", "deflate", "snappy", "x-snappy-framed", "lz4"}
}

// GRPCEncodings returns the supported message encodings of gRPC, without "none".
// Its "snappy" is the framed format, as in the Collector.
func GRPCEncodings() []string { return []string{"gzip", "zstd", "snappy"} }
