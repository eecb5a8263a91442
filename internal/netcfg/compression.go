package netcfg

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// Compression names how a client compresses its requests.
type Compression string

// The choices. The empty string is NoCompression too. A gRPC client has
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

// validateHTTP refuses what HTTP does not have.
func (c Compression) validateHTTP() error { return c.oneOf(Encodings()) }

// validateGRPC refuses what gRPC does not have.
func (c Compression) validateGRPC() error { return c.oneOf(GRPCEncodings()) }

func (c Compression) oneOf(known []string) error {
	if c == "" || c == NoCompression || slices.Contains(known, string(c)) {
		return nil
	}
	return fmt.Errorf("unknown compression %q: expected %s or none", string(c), strings.Join(known, ", "))
}

// Encoding returns the name on the wire, the same in HTTP and in gRPC; "" is none.
func (c Compression) Encoding() string {
	if c == NoCompression {
		return ""
	}
	return string(c)
}

// CompressionParams tune a compression.
type CompressionParams struct {
	// Level trades CPU for size: 1 to 9 for gzip, zlib and deflate, 1 to 22 for
	// zstd, 0 is the compressor's own choice and all that the others know. gzip,
	// zlib and deflate also know -1 (that same choice) and -2 (Huffman coding
	// only).
	Level int `yaml:"level"`
}

func (p CompressionParams) validateFor(c Compression) error {
	lowest, highest := 0, 0
	switch c {
	case Gzip, Zlib, Deflate:
		lowest, highest = gzip.HuffmanOnly, gzip.BestCompression
	case Zstd:
		highest = 22
	}
	if p.Level < lowest || p.Level > highest {
		return conf.Atf("level", "level %d does not fit compression %q: expected %d to %d",
			p.Level, string(c), lowest, highest)
	}
	return nil
}

// Compressor compresses whole requests. It is safe for concurrent use.
type Compressor struct {
	encoding  string
	newWriter func() (resetWriter, error) // nil for the two below
	writers   sync.Pool                   // of resetWriter
	zstd      *zstd.Encoder
	block     bool // a snappy block
}

// NewCompressor returns the compressor for c, nil where c is no compression.
func NewCompressor(c Compression, p CompressionParams) (*Compressor, error) {
	if err := c.validateHTTP(); err != nil {
		return nil, err
	}
	if err := p.validateFor(c); err != nil {
		return nil, err
	}
	level := p.Level
	if level == 0 {
		level = gzip.DefaultCompression // zlib's too
	}
	z := &Compressor{encoding: c.Encoding()}
	switch c {
	case Gzip:
		z.newWriter = func() (resetWriter, error) { return gzip.NewWriterLevel(nil, level) }
	case Zlib, Deflate:
		z.newWriter = func() (resetWriter, error) { return zlib.NewWriterLevel(nil, level) }
	case SnappyFramed:
		z.newWriter = newSnappyFramed
	case LZ4:
		z.newWriter = newLZ4
	case Snappy:
		z.block = true
	case Zstd:
		var err error
		if z.zstd, err = newZstdEncoder(p.Level); err != nil {
			return nil, fmt.Errorf("set up zstd level %d: %w", p.Level, err)
		}
	default:
		return nil, nil
	}
	return z, nil
}

func newZstdEncoder(level int) (*zstd.Encoder, error) {
	// Encoders beyond the first are made when they are first needed.
	opts := []zstd.EOption{zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0))}
	if speed := zstd.EncoderLevelFromZstd(level); level != 0 {
		opts = append(opts, zstd.WithEncoderLevel(speed))
		if speed > zstd.SpeedDefault { // these look back further than a decoder needs to
			opts = append(opts, zstd.WithWindowSize(maxZstdWindowBytes))
		}
	}
	return zstd.NewWriter(nil, opts...)
}

// newLZ4 uses blocks that fit a request; the library's own choice takes 4 MiB.
func newLZ4() (resetWriter, error) {
	w := lz4.NewWriter(nil)
	return w, w.Apply(lz4.BlockSizeOption(lz4.Block256Kb))
}

// Encoding returns the Content-Encoding of what Compress returns.
func (z *Compressor) Encoding() string { return z.encoding }

// Compress returns src compressed, in a buffer of internal/bufpool that the
// caller owns. src is only read, and not after the return.
func (z *Compressor) Compress(src []byte) (*[]byte, error) {
	switch {
	case z.zstd != nil:
		out := bufpool.Get(z.zstd.MaxEncodedSize(len(src)))
		*out = z.zstd.EncodeAll(src, (*out)[:0])
		return out, nil
	case z.block:
		most := s2.MaxEncodedLen(len(src))
		if most < 0 {
			return nil, fmt.Errorf("%s: %d bytes are more than a block holds", z.encoding, len(src))
		}
		out := bufpool.Get(most)
		*out = s2.EncodeSnappy(*out, src)
		return out, nil
	}
	out := &poolWriter{p: bufpool.Get(max(len(src)/4, minBuffer))}
	*out.p = (*out.p)[:0]
	if err := z.stream(out, src); err != nil {
		bufpool.Put(out.p)
		return nil, fmt.Errorf("%s: %w", z.encoding, err)
	}
	return out.p, nil
}

func (z *Compressor) stream(out io.Writer, src []byte) error {
	w, _ := z.writers.Get().(resetWriter)
	if w == nil {
		var err error
		if w, err = z.newWriter(); err != nil {
			return err
		}
	}
	w.Reset(out)
	defer func() {
		w.Reset(io.Discard) // lets go of the buffer
		z.writers.Put(w)
	}()
	if _, err := w.Write(src); err != nil {
		return err
	}
	return w.Close()
}

// poolWriter appends to a buffer of internal/bufpool.
type poolWriter struct{ p *[]byte }

func (w *poolWriter) Write(b []byte) (int, error) {
	w.p = bufpool.Grow(w.p, len(b))
	*w.p = append(*w.p, b...)
	return len(b), nil
}
