package compress

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// The one init of the module: gRPC offers no other way. See the package comment.
func init() {
	encoding.RegisterCompressor(&grpcCompressor{name: "gzip", newWriter: newGRPCGzip, decompress: gunzipStream})
	encoding.RegisterCompressor(&grpcCompressor{name: "zstd", newWriter: newGRPCZstd, decompress: unzstdStream})
	encoding.RegisterCompressor(&grpcCompressor{name: "snappy", newWriter: newSnappyFramed, decompress: unsnappyStream})
}

// zstdGRPCWindowBytes bounds what a peer must keep to read our messages.
const zstdGRPCWindowBytes = 512 << 10

// grpcWriteBytes is the size of the pieces that gRPC is given.
const grpcWriteBytes = 32 << 10

func newGRPCGzip() (resetWriter, error) { return gzip.NewWriter(nil), nil }

func newGRPCZstd() (resetWriter, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(zstdGRPCWindowBytes))
}

// grpcCompressor puts one encoding under gRPC's interface. gRPC itself stops
// reading at the receiver's message limit.
//
// gRPC closes what Compress and Decompress return once. What is pooled hangs
// behind a handle that lets go of it at the first Close: were an object put back
// twice, two messages would share it.
type grpcCompressor struct {
	name       string
	newWriter  func() (resetWriter, error)
	decompress func(io.Reader) (io.ReadCloser, error)
	writers    sync.Pool // of *grpcWriter
}

type resetWriter interface {
	io.WriteCloser
	Reset(io.Writer)
}

func (c *grpcCompressor) Name() string { return c.name }

func (c *grpcCompressor) Decompress(r io.Reader) (io.Reader, error) { return c.decompress(r) }

func (c *grpcCompressor) Compress(w io.Writer) (io.WriteCloser, error) {
	z, _ := c.writers.Get().(*grpcWriter)
	if z == nil {
		inner, err := c.newWriter()
		if err != nil {
			return nil, err
		}
		z = &grpcWriter{z: inner, out: bufio.NewWriterSize(nil, grpcWriteBytes)}
	}
	z.out.Reset(w)
	z.z.Reset(z.out)
	return &writeHandle{w: z, pool: &c.writers}, nil
}

// grpcWriter is a compressor with a buffer behind it: gRPC takes a buffer of its
// own for each piece that a compressor writes, however small.
type grpcWriter struct {
	z   resetWriter
	out *bufio.Writer
}

func (w *grpcWriter) Close() error {
	err := w.z.Close()
	if err == nil {
		err = w.out.Flush()
	}
	w.out.Reset(nil) // lets go of the message
	return err
}

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

func newSnappyFramed() (resetWriter, error) {
	return s2.NewWriter(nil, s2.WriterSnappyCompat(), s2.WriterConcurrency(1)), nil
}

func gunzipStream(r io.Reader) (io.ReadCloser, error) {
	z := newInflater(r)
	if err := z.member(); err != nil {
		z.release()
		return nil, corrupt("gzip", err)
	}
	return &readHandle{r: gunzipper{z}, release: z.release}, nil
}

// zstdStreams is a cache and nothing more.
var zstdStreams = sync.Pool{New: func() any { return newZstdDecoder(zstd.WithDecoderConcurrency(1)) }}

func unzstdStream(r io.Reader) (io.ReadCloser, error) {
	z := zstdStreams.Get().(*zstd.Decoder)
	release := func() {
		if z.Reset(nil) == nil { // lets go of the message
			zstdStreams.Put(z)
		}
	}
	if err := z.Reset(r); err != nil {
		release()
		return nil, corrupt("zstd", err)
	}
	return &readHandle{r: z, release: release}, nil
}

// snappyStreams is a cache and nothing more.
var snappyStreams = sync.Pool{New: func() any { return s2.NewReader(nil, s2.ReaderMaxBlockSize(maxSnappyChunkBytes)) }}

func unsnappyStream(r io.Reader) (io.ReadCloser, error) {
	z := snappyStreams.Get().(*s2.Reader)
	z.Reset(r)
	return &readHandle{r: z, release: func() {
		z.Reset(nil)
		snappyStreams.Put(z)
	}}, nil
}

// readHandle is a pooled reader until the first Close.
type readHandle struct {
	r       io.Reader
	release func() // nil once closed
}

// Read turns a decoder's panic into an error. That decoder is not used again.
func (h *readHandle) Read(p []byte) (n int, err error) {
	if h.release == nil {
		return 0, io.ErrClosedPipe
	}
	defer func() {
		if p := recover(); p != nil {
			h.r, h.release = nil, nil
			n, err = 0, fmt.Errorf("%w, the decoder gave up on it: %v", ErrCorrupt, p)
		}
	}()
	return h.r.Read(p)
}

func (h *readHandle) Close() error {
	if h.release != nil {
		h.release()
		h.r, h.release = nil, nil
	}
	return nil
}
