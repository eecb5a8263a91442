package compress

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// ErrNotIncluded is returned by NewCompressor for a compression that config knows
// and this package does not implement.
var ErrNotIncluded = errors.New("not included in this program")

// Compressor compresses whole requests. It is safe for concurrent use.
type Compressor struct {
	encoding  string
	newWriter func() (resetWriter, error) // nil for zstd and snappy blocks
	writers   sync.Pool                   // of resetWriter
	zstd      *zstd.Encoder
	block     bool // a snappy block
}

// resetWriter is a stream compressor that can be reused.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

// minBuffer is the minimum capacity of an output buffer.
const minBuffer = 4 << 10

// NewCompressor returns the compressor for c, or nil if c is NoCompression. For
// lz4 it returns ErrNotIncluded.
func NewCompressor(c config.Compression, p config.CompressionParams) (*Compressor, error) {
	if err := c.ValidateHTTP(); err != nil {
		return nil, err
	}
	if err := p.ValidateFor(c); err != nil {
		return nil, err
	}
	level := p.Level
	if level == 0 {
		level = gzip.DefaultCompression // the same constant as for zlib
	}
	z := &Compressor{encoding: c.Encoding()}
	switch c {
	case config.Gzip:
		z.newWriter = func() (resetWriter, error) { return gzip.NewWriterLevel(nil, level) }
	case config.Zlib, config.Deflate:
		z.newWriter = func() (resetWriter, error) { return zlib.NewWriterLevel(nil, level) }
	case config.SnappyFramed:
		z.newWriter = newSnappyFramed
	case config.Snappy:
		z.block = true
	case config.Zstd:
		var err error
		if z.zstd, err = newZstdEncoder(p.Level); err != nil {
			return nil, fmt.Errorf("set up zstd level %d: %w", p.Level, err)
		}
	case config.NoCompression, "":
		return nil, nil
	default:
		return nil, fmt.Errorf("compression %q: %w", c, ErrNotIncluded)
	}
	return z, nil
}

func newZstdEncoder(level int) (*zstd.Encoder, error) {
	// Encoders beyond the first are created on first use.
	opts := []zstd.EOption{zstd.WithLowerEncoderMem(true), zstd.WithEncoderConcurrency(runtime.GOMAXPROCS(0))}
	if speed := zstd.EncoderLevelFromZstd(level); level != 0 {
		opts = append(opts, zstd.WithEncoderLevel(speed))
		if speed > zstd.SpeedDefault { // their default window is larger than a decoder has to support
			opts = append(opts, zstd.WithWindowSize(maxZstdWindowBytes))
		}
	}
	return zstd.NewWriter(nil, opts...)
}

// Encoding returns the Content-Encoding of the output of Compress.
func (z *Compressor) Encoding() string { return z.encoding }

// Compress returns src compressed, in a buffer of internal/bufpool that the
// caller owns. Compress only reads src, and not after it returns.
func (z *Compressor) Compress(src []byte) (*[]byte, error) {
	switch {
	case z.zstd != nil:
		out := bufpool.Get(z.zstd.MaxEncodedSize(len(src)))
		*out = z.zstd.EncodeAll(src, (*out)[:0])
		return out, nil
	case z.block:
		most := s2.MaxEncodedLen(len(src))
		if most < 0 {
			return nil, fmt.Errorf("%s: %d bytes are more than the maximum of a block", z.encoding, len(src))
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
		w.Reset(io.Discard) // drops the reference to the buffer
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
