package compress

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// errCorrupt is wrapped by every error of a decoder.
var errCorrupt = errors.New("the compressed message is corrupt")

func corrupt(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: unexpected end", errCorrupt)
	}
	return fmt.Errorf("%w: %w", errCorrupt, err)
}

// gzipReader has its own bufio.Reader, so that a pooled gzipReader does not keep a
// reference to its last message.
type gzipReader struct {
	in bufio.Reader
	z  gzip.Reader
}

// The pools are only caches.
var (
	gzipReaders   = sync.Pool{New: func() any { return new(gzipReader) }}
	zstdReaders   = sync.Pool{New: func() any { return newZstdReader() }}
	snappyReaders = sync.Pool{New: func() any { return s2.NewReader(nil, s2.ReaderMaxBlockSize(maxSnappyChunkBytes)) }}
)

const (
	// maxZstdWindowBytes is the maximum window of a content coding: a decoder
	// must support it, an encoder must not exceed it (RFC 9659, section 3).
	maxZstdWindowBytes = 8 << 20
	// maxSnappyChunkBytes is the maximum decompressed size of a chunk of a
	// framed stream.
	maxSnappyChunkBytes = 64 << 10
)

func newZstdReader() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindowBytes),
		zstd.WithDecodeBuffersBelow(0)) // its short cut would bypass the limits
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

func readGzip(r io.Reader) (io.ReadCloser, error) {
	z := gzipReaders.Get().(*gzipReader)
	release := func() {
		z.in.Reset(nil)
		z.z.Header = gzip.Header{}
		gzipReaders.Put(z)
	}
	z.in.Reset(r)
	if err := z.z.Reset(&z.in); err != nil {
		release()
		return nil, corrupt(err)
	}
	return &readHandle{r: &z.z, release: release}, nil
}

func readZstd(r io.Reader) (io.ReadCloser, error) {
	z := zstdReaders.Get().(*zstd.Decoder)
	release := func() {
		if z.Reset(nil) == nil { // drops the reference to the message
			zstdReaders.Put(z)
		}
	}
	if err := z.Reset(r); err != nil {
		release()
		return nil, corrupt(err)
	}
	return &readHandle{r: z, release: release}, nil
}

func readSnappy(r io.Reader) (io.ReadCloser, error) {
	z := snappyReaders.Get().(*s2.Reader)
	z.Reset(r)
	return &readHandle{r: z, release: func() {
		z.Reset(nil)
		snappyReaders.Put(z)
	}}, nil
}

// readHandle owns a pooled reader until the first Close. It ensures that the
// reader is returned to the pool only once, since otherwise two messages would
// share it.
type readHandle struct {
	r       io.Reader
	release func() // nil once closed
}

// Read converts a panic of the decoder to an error. That decoder is not used
// again.
func (h *readHandle) Read(p []byte) (n int, err error) {
	if h.release == nil {
		return 0, io.ErrClosedPipe
	}
	defer func() {
		if p := recover(); p != nil {
			h.r, h.release = nil, nil
			n, err = 0, fmt.Errorf("%w: the decoder panicked: %v", errCorrupt, p)
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
