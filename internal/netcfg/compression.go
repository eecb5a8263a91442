package netcfg

import (
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/conf"
)

// Compression names how a client compresses its requests.
type Compression string

// The choices. The empty string is NoCompression too.
const (
	NoCompression Compression = "none"
	Gzip          Compression = "gzip"
	Zstd          Compression = "zstd"
)

// Validate refuses what is none of the choices.
func (c Compression) Validate() error {
	switch c {
	case "", NoCompression, Gzip, Zstd:
		return nil
	}
	return fmt.Errorf("unknown compression %q: expected gzip, zstd or none", string(c))
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
	// Level trades CPU for size: 1 to 9 for gzip, 1 to 22 for zstd, 0 is the
	// compressor's own choice. gzip also knows -1 (that same choice) and -2
	// (Huffman coding only).
	Level int `yaml:"level"`
}

func (p CompressionParams) validateFor(c Compression) error {
	lowest, highest := 0, 0
	switch c {
	case Gzip:
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
	encoding string
	level    int
	gzips    sync.Pool // of *gzip.Writer
	zstd     *zstd.Encoder
}

// NewCompressor returns the compressor for c, nil where c is no compression.
func NewCompressor(c Compression, p CompressionParams) (*Compressor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if err := p.validateFor(c); err != nil {
		return nil, err
	}
	z := &Compressor{encoding: c.Encoding(), level: p.Level}
	switch c {
	case Gzip:
		if z.level == 0 {
			z.level = gzip.DefaultCompression
		}
	case Zstd:
		// Encoders beyond the first are made when they are first needed.
		opts := []zstd.EOption{zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0))}
		if level := zstd.EncoderLevelFromZstd(z.level); z.level != 0 {
			opts = append(opts, zstd.WithEncoderLevel(level))
			if level > zstd.SpeedDefault { // these look back further than a decoder needs to
				opts = append(opts, zstd.WithWindowSize(maxZstdWindowBytes))
			}
		}
		var err error
		if z.zstd, err = zstd.NewWriter(nil, opts...); err != nil {
			return nil, fmt.Errorf("set up zstd level %d: %w", p.Level, err)
		}
	default:
		return nil, nil
	}
	return z, nil
}

// Encoding returns the Content-Encoding of what Compress returns.
func (z *Compressor) Encoding() string { return z.encoding }

// Compress returns src compressed, in a buffer of internal/bufpool that the
// caller owns. src is only read, and not after the return.
func (z *Compressor) Compress(src []byte) (*[]byte, error) {
	if z.zstd != nil {
		out := bufpool.Get(z.zstd.MaxEncodedSize(len(src)))
		*out = z.zstd.EncodeAll(src, (*out)[:0])
		return out, nil
	}
	w := &poolWriter{p: bufpool.Get(max(len(src)/4, minBuffer))}
	*w.p = (*w.p)[:0]
	g, _ := z.gzips.Get().(*gzip.Writer)
	if g == nil {
		var err error
		if g, err = gzip.NewWriterLevel(w, z.level); err != nil {
			bufpool.Put(w.p)
			return nil, fmt.Errorf("set up gzip level %d: %w", z.level, err)
		}
	} else {
		g.Reset(w)
	}
	defer z.putGzip(g)
	if _, err := g.Write(src); err != nil {
		bufpool.Put(w.p)
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if err := g.Close(); err != nil {
		bufpool.Put(w.p)
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return w.p, nil
}

func (z *Compressor) putGzip(g *gzip.Writer) {
	g.Reset(io.Discard) // lets go of the buffer
	z.gzips.Put(g)
}

// poolWriter appends to a buffer of internal/bufpool.
type poolWriter struct{ p *[]byte }

func (w *poolWriter) Write(b []byte) (int, error) {
	w.p = bufpool.Grow(w.p, len(b))
	*w.p = append(*w.p, b...)
	return len(b), nil
}
