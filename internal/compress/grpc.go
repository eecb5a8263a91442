package compress

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// zstdGRPCWindowBytes is the maximum window that a peer needs to read our
// messages.
const zstdGRPCWindowBytes = 512 << 10

// grpcWriteBytes is the size of the writes to gRPC, which allocates a buffer for
// each write, however small.
const grpcWriteBytes = 32 << 10

// grpcEncoding is one encoding of gRPC messages. It implements
// encoding.Compressor, the interface of gRPC's registry.
type grpcEncoding struct {
	name       string
	settings   Settings
	newWriter  func() (resetWriter, error)
	decompress func(io.Reader) (io.ReadCloser, error)
	writers    sync.Pool // of *grpcWriter
}

// grpcEncodings are the encodings of config.GRPCEncodings.
var grpcEncodings = [...]*grpcEncoding{
	{name: "gzip", newWriter: newGRPCGzip, decompress: readGzip},
	{name: "zstd", settings: Settings{WindowBytes: zstdGRPCWindowBytes}, newWriter: newGRPCZstd, decompress: readZstd},
	{name: "snappy", newWriter: newSnappyFramed, decompress: readSnappy},
}

func grpcEncodingOf(name string) *grpcEncoding {
	for _, e := range grpcEncodings {
		if e.name == name {
			return e
		}
	}
	return nil
}

// RegisterGRPC adds the encodings with these names to gRPC's registry, except those
// that are already registered. Unknown names are ignored. gRPC allows it only while
// the program initialises.
func RegisterGRPC(names ...string) {
	for _, name := range names {
		if e := grpcEncodingOf(name); e != nil && encoding.GetCompressor(name) == nil {
			encoding.RegisterCompressor(e)
		}
	}
}

// GRPCCompressor compresses the messages of a connection (grpc.Compressor).
type GRPCCompressor struct {
	e     *grpcEncoding
	slots slots
}

// GRPCDecompressor decompresses the messages of a connection (grpc.Decompressor).
type GRPCDecompressor struct {
	e        *grpcEncoding
	maxBytes int
}

// GRPC returns the compressor and the decompressor of a connection that sends
// messages in the encoding name; servers respond in the encoding of the request.
// The decompressor returns at most maxBytes+1 bytes, so that gRPC rejects a
// message that exceeds the connection's limit of maxBytes.
func GRPC(name string, maxBytes int) (*GRPCCompressor, *GRPCDecompressor, error) {
	e := grpcEncodingOf(name)
	if e == nil {
		return nil, nil, fmt.Errorf("unknown encoding %q of gRPC messages", name)
	}
	return &GRPCCompressor{e, newSlots()}, &GRPCDecompressor{e, maxBytes}, nil
}

// Settings returns those of the encoder.
func (c *GRPCCompressor) Settings() Settings { return c.e.settings }

// Type returns the encoding's name.
func (c *GRPCCompressor) Type() string { return c.e.name }

// Do compresses p and writes the result to w.
func (c *GRPCCompressor) Do(w io.Writer, p []byte) error {
	z, err := c.e.writer(w)
	if err != nil {
		return err
	}
	_, err = z.z.Write(p)
	if closeErr := z.Close(); err == nil {
		err = closeErr
	}
	c.e.writers.Put(z)
	return err
}

// CompressTo returns src compressed, as Compressor.CompressTo does.
func (c *GRPCCompressor) CompressTo(ctx context.Context, src []byte, grow Grow) ([]byte, error) {
	if err := c.slots.acquire(ctx); err != nil {
		return nil, fmt.Errorf("wait for a compressor: %w", err)
	}
	defer c.slots.release()
	out, err := newOutput(grow, len(src))
	if err != nil {
		return nil, err
	}
	if err := c.Do(out, src); err != nil {
		return nil, fmt.Errorf("%s: %w", c.e.name, err)
	}
	return out.b, nil
}

// Type returns the encoding's name.
func (d *GRPCDecompressor) Type() string { return d.e.name }

// Do returns the decompressed contents of r.
func (d *GRPCDecompressor) Do(r io.Reader) ([]byte, error) {
	z, err := d.e.decompress(r)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(z, int64(d.maxBytes)+1))
	_ = z.Close() // always returns nil
	return b, err
}

// Name implements encoding.Compressor.
func (e *grpcEncoding) Name() string { return e.name }

// Decompress implements encoding.Compressor. gRPC stops reading at the receiver's
// limit.
func (e *grpcEncoding) Decompress(r io.Reader) (io.Reader, error) { return e.decompress(r) }

// Compress implements encoding.Compressor.
func (e *grpcEncoding) Compress(w io.Writer) (io.WriteCloser, error) {
	z, err := e.writer(w)
	if err != nil {
		return nil, err
	}
	return &writeHandle{w: z, pool: &e.writers}, nil
}

// writer returns a writer to w. It goes back to e.writers after Close.
func (e *grpcEncoding) writer(w io.Writer) (*grpcWriter, error) {
	z, _ := e.writers.Get().(*grpcWriter)
	if z == nil {
		inner, err := e.newWriter()
		if err != nil {
			return nil, err
		}
		z = &grpcWriter{z: inner, out: bufio.NewWriterSize(nil, grpcWriteBytes)}
	}
	z.out.Reset(w)
	z.z.Reset(z.out)
	return z, nil
}

// grpcWriter is a compressor with an output buffer.
type grpcWriter struct {
	z   resetWriter
	out *bufio.Writer
}

func (w *grpcWriter) Close() error {
	err := w.z.Close()
	if err == nil {
		err = w.out.Flush()
	}
	w.out.Reset(nil) // drops the reference to the message
	return err
}

// writeHandle owns a pooled writer until the first Close. It ensures that the
// writer is returned to the pool only once, since otherwise two messages would
// share it.
type writeHandle struct {
	w    *grpcWriter // nil once closed
	pool *sync.Pool
}

func (h *writeHandle) Write(p []byte) (int, error) {
	if h.w == nil {
		return 0, io.ErrClosedPipe
	}
	return h.w.z.Write(p)
}

func (h *writeHandle) Close() error {
	w := h.w
	if w == nil {
		return nil
	}
	h.w = nil
	err := w.Close()
	h.pool.Put(w)
	return err
}

func newGRPCGzip() (resetWriter, error) { return gzip.NewWriter(nil), nil }

func newGRPCZstd() (resetWriter, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(zstdGRPCWindowBytes))
}

func newSnappyFramed() (resetWriter, error) {
	return s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1)), nil
}
