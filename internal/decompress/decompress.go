package decompress

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// The errors of Decompress for a body. Its other errors come from the reader or
// the Reserver.
var (
	// ErrTooLarge means that the result would have more than maxBytes bytes, or
	// that the input has far more than maxBytes.
	ErrTooLarge = errors.New("the body is larger than the limit")
	// ErrUnknownEncoding means that the encoding is not in config.Encodings.
	ErrUnknownEncoding = errors.New("unknown content encoding")
	// ErrCorrupt means that the bytes are not valid for the encoding.
	ErrCorrupt = errors.New("the compressed body is corrupt")
)

// Decompress reads src to its end, decompresses it, and returns the result in a
// buffer of internal/bufpool that the caller owns. If the result is larger than
// maxBytes, it returns ErrTooLarge.
//
// Memory is allocated as bytes arrive, never because of a size that a body
// declares. Before a buffer is allocated, memory.Reserve is called with the
// capacity of all buffers of this body that will then be in use: the result,
// the smaller one that it is copied from, and the compressed bytes, which are
// collected first. An error of Reserve is returned, wrapped, and is neither
// ErrTooLarge nor ErrCorrupt. A nil Reserver allows everything. The state of gzip's
// and zlib's decoder is one of these buffers. Those of zstd are not counted: there is
// one for each processor, of less than 400 KiB. The other encodings need none.
//
// encoding is an HTTP content coding: it is case-insensitive, "x-gzip" means
// gzip (RFC 9110, section 8.4.1), "" and "identity" mean no compression. A list
// of codings is ErrUnknownEncoding. A body consists of:
//
//	gzip             one member or more (RFC 1952, section 2.2)
//	zstd             one frame or more, and skippable ones (RFC 8878)
//	zlib, deflate    one zlib stream (RFC 1950; RFC 9110, section 8.4.1.2)
//	snappy           one block, or a framed stream, which is detected by its first 10 bytes
//	x-snappy-framed  a framed stream; further streams may follow
//	lz4              one frame or more, and skippable ones; no legacy frames, no dictionaries
//
// Trailing data is ErrCorrupt, and so is a truncated or empty body. (A framed snappy stream has no end
// marker: one that is truncated between two chunks is valid, and x-snappy-framed may be empty.) deflate
// may be without the header of zlib, as some clients send it.
//
// dst is a buffer of bufpool to write to, for a caller that can estimate the
// size, or nil. Its contents are overwritten. Decompress owns it from the call
// on: the result may be another buffer, and after an error dst is back in the
// pool.
func Decompress(encoding string, dst *[]byte, src io.Reader, maxBytes int, memory Reserver) (*[]byte, error) {
	op := &decompression{memory: memory, maxBytes: max(maxBytes, 0), dst: dst}
	return op.finish(op.run(encoding, func(c codec) error {
		if c.whole == nil {
			in := &source{r: src, op: op}
			return in.ownError(op.fill(in))
		}
		wire, err := op.collect(src, 0)
		if err != nil {
			return err
		}
		defer bufpool.Put(wire)
		op.otherBytes = cap(*wire)
		return c.whole(op, *wire)
	}))
}

// DecompressBytes is Decompress for a body in memory. The caller keeps
// ownership of wire, which is only read, and not after the return; its capacity
// is counted as one of the buffers in use. The size that a gzip member declares
// is used up to 64 times the size of wire.
func DecompressBytes(encoding string, dst *[]byte, wire []byte, maxBytes int, memory Reserver) (*[]byte, error) {
	body, _, err := Inspect(encoding, dst, wire, maxBytes, memory)
	return body, err
}

// codec decompresses one encoding.
type codec struct {
	name  string                                     // for errors; "" means no compression
	whole func(op *decompression, wire []byte) error // nil: not compressed
}

func codecFor(encoding string) (codec, bool) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return codec{}, true
	case "gzip", "x-gzip":
		return codec{name: "gzip", whole: gunzip}, true
	case "zlib":
		return codec{name: "zlib", whole: unzlib}, true
	case "deflate":
		return codec{name: "zlib", whole: undeflate}, true
	case "zstd":
		return codec{name: "zstd", whole: unzstd}, true
	case "snappy":
		return codec{name: "snappy", whole: unsnappy}, true
	case "x-snappy-framed":
		return codec{name: "framed snappy", whole: unsnappyFramed}, true
	case "lz4":
		return codec{name: "lz4", whole: unlz4}, true
	}
	return codec{}, false
}

// run calls decode with the codec for encoding. A panic of a decoder becomes
// ErrCorrupt; a panic of the caller's code is not recovered.
func (op *decompression) run(encoding string, decode func(codec) error) (err error) {
	c, ok := codecFor(encoding)
	if !ok {
		return fmt.Errorf("%w %q: expected %s or none", ErrUnknownEncoding, encoding, strings.Join(config.Encodings(), ", "))
	}
	defer func() {
		if op.inCaller {
			return
		}
		if p := recover(); p != nil {
			op.dst = nil // not to the pool: the decoder may still refer to it
			err = fmt.Errorf("%w: the %s decoder panicked: %v", ErrCorrupt, c.name, p)
		}
	}()
	if op.dst != nil {
		if err := op.reserve(op.otherBytes + op.held()); err != nil {
			return err
		}
	}
	return decode(c)
}

func (op *decompression) finish(err error) (*[]byte, error) {
	if err != nil {
		op.drop()
		return nil, err
	}
	return op.dst, nil
}

// maxWireBytes is the maximum size of the input. An encoding exceeds it only
// with many tiny pieces.
func maxWireBytes(maxBytes int) int { return maxBytes + maxBytes/16 + 4<<10 }

// source stores the error of its reader, to distinguish a broken connection from corrupt
// data.
type source struct {
	r   io.Reader
	op  *decompression
	err error // nil also after io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	before := s.op.inCaller
	s.op.inCaller = true
	n, err := s.r.Read(p)
	s.op.inCaller = before
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("read the body: %w", err)
	}
	return n, err
}

// ownError returns the error of the source, if there was one, instead of the
// decoder's error err.
func (s *source) ownError(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

func tooLarge(maxBytes int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, maxBytes) }

func corrupt(encoding string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: unexpected end of the %s data", ErrCorrupt, encoding)
	}
	return fmt.Errorf("%w: not valid %s: %w", ErrCorrupt, encoding, err)
}
