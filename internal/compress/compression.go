package compress

import (
	"context"
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
	settings  Settings
	newWriter func() (resetWriter, error) // nil for zstd and snappy blocks
	writers   sync.Pool                   // of resetWriter
	zstd      *zstd.Encoder
	block     bool // a snappy block
	slots     slots
}

// Settings are those of an encoder on which its output depends, beside the format.
type Settings struct{ Level, WindowBytes int }

// resetWriter is a stream compressor that can be reused.
type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

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
	z := &Compressor{encoding: c.Encoding(), settings: Settings{Level: p.Level}, slots: newSlots()}
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
	speed := zstd.SpeedDefault
	if level != 0 {
		speed = zstd.EncoderLevelFromZstd(level)
	}
	return NewZstd(speed)
}

// zstdWindowBytes is the window of an encoder up to the default level. Telemetry
// repeats itself at shorter distances; the library's default of 8 MiB costs 10 MB of
// memory for each CPU.
const zstdWindowBytes = 1 << 20

// NewZstd returns an encoder for EncodeAll. Up to the default level it has buffers of
// 3 MB for each CPU, and above, where they are 13 to 45 MB, one for all.
func NewZstd(speed zstd.EncoderLevel) (*zstd.Encoder, error) {
	window, atOnce := zstdWindowBytes, runtime.GOMAXPROCS(0)
	if speed > zstd.SpeedDefault {
		window, atOnce = maxZstdWindowBytes, 1
	}
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(speed), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderConcurrency(atOnce), zstd.WithWindowSize(window))
}

// Encoding returns the Content-Encoding of the output of Compress.
func (z *Compressor) Encoding() string { return z.encoding }

// Settings returns those of the encoder.
func (z *Compressor) Settings() Settings { return z.settings }

// Compress is CompressTo with memory of internal/bufpool. The caller owns the buffer.
func (z *Compressor) Compress(src []byte) (*[]byte, error) {
	pooled := new([]byte)
	out, err := z.CompressTo(context.Background(), src, func(dst []byte, n int) ([]byte, error) {
		*pooled = dst
		pooled = bufpool.Grow(pooled, n)
		return *pooled, nil
	})
	if err != nil {
		bufpool.Put(pooled)
		return nil, err
	}
	*pooled = out
	return pooled, nil
}

// CompressTo returns src compressed, in memory of grow. It only reads src, and not
// after it returns. It waits while as many requests are being compressed as there are
// CPUs, since a compressor has up to a megabyte of state; ctx ends the wait.
func (z *Compressor) CompressTo(ctx context.Context, src []byte, grow Grow) ([]byte, error) {
	if err := z.slots.acquire(ctx); err != nil {
		return nil, fmt.Errorf("wait for a compressor: %w", err)
	}
	defer z.slots.release()
	switch {
	case z.zstd != nil:
		dst, err := grow(nil, z.zstd.MaxEncodedSize(len(src)))
		if err != nil {
			return nil, err
		}
		return z.zstd.EncodeAll(src, dst), nil
	case z.block:
		most := s2.MaxEncodedLen(len(src))
		if most < 0 {
			return nil, fmt.Errorf("%s: %d bytes are more than the maximum of a block", z.encoding, len(src))
		}
		dst, err := grow(nil, most)
		if err != nil {
			return nil, err
		}
		return s2.EncodeSnappy(dst[:most], src), nil
	}
	out, err := newOutput(grow, len(src))
	if err != nil {
		return nil, err
	}
	if err := z.stream(out, src); err != nil {
		return nil, fmt.Errorf("%s: %w", z.encoding, err)
	}
	return out.b, nil
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
