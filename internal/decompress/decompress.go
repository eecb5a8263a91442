package decompress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Why Decompress refuses a body. Every other error of Decompress comes from the
// reader or the Room that it was given.
var (
	// ErrTooLarge: more than maxBytes bytes would come out, or far more than
	// maxBytes went in.
	ErrTooLarge = errors.New("the body is larger than the limit")
	// ErrUnknownEncoding: the encoding is none of Encodings.
	ErrUnknownEncoding = errors.New("unknown content encoding")
	// ErrCorrupt: the bytes are not what the encoding says, or ask for more
	// memory than it allows (a zstd window above 8 MiB).
	ErrCorrupt = errors.New("the compressed body is corrupt")
)

// Decompress reads src to its end, undoes encoding and returns the result in a
// buffer of internal/bufpool that the caller now owns. At most maxBytes bytes
// come out: one more is ErrTooLarge.
//
// Memory is taken as bytes arrive and never for what a body only claims about
// itself: before a buffer is taken, room.Reserve is told the capacity of all
// buffers of this body that will then be alive: the result, the smaller one it
// is copied from, and the compressed bytes where they are collected first (all
// but gzip, zlib and deflate). Its error is returned, wrapped, and is neither
// ErrTooLarge nor ErrCorrupt. A nil room grants everything. Not counted is the
// decoder's own state, a fixed amount of less than 400 KiB.
//
// encoding is an HTTP content coding: compared without case, "x-gzip" is gzip
// (RFC 9110, section 8.4.1), "" and "identity" are the plain bytes. A list of
// codings is ErrUnknownEncoding. What a body may be made of:
//
//	gzip             one member or more (RFC 1952, section 2.2)
//	zstd             one frame or more, and skippable ones (RFC 8878)
//	zlib, deflate    one zlib stream (RFC 1950; RFC 9110, section 8.4.1.2)
//	snappy           one block, or framed: told by the 10 bytes a framed one starts with
//	x-snappy-framed  a framed stream; it may start anew in the middle
//	lz4              one frame or more, and skippable ones; no legacy frames, no dictionaries
//
// Anything behind is ErrCorrupt, and so is a body that breaks off or is empty.
// (Only a framed snappy stream has no end that could be missed: one that breaks
// off between two chunks looks whole, and x-snappy-framed may be empty.) deflate without zlib's header is not
// taken: it has no checksum, so damage would pass for data, and the Collector
// refuses it too.
//
// dst is a buffer from bufpool to write into, for a caller that can guess the
// size; nil if it cannot. Its contents are overwritten. It belongs to Decompress
// from the call on: the result may be another, and after an error it is back in
// the pool.
func Decompress(encoding string, dst *[]byte, src io.Reader, maxBytes int, room Room) (*[]byte, error) {
	op := &decompression{room: room, maxBytes: max(maxBytes, 0), dst: dst}
	in := &source{r: src, op: op, left: maxWireBytes(op.maxBytes)}
	return op.finish(op.run(encoding, func(c codec) error {
		if c.stream != nil {
			if c.name == "" {
				in.left = -1 // fill counts them
			}
			return in.ownError(c.stream(op, in))
		}
		wire := &decompression{room: room, maxBytes: maxWireBytes(op.maxBytes), beside: op.held()}
		defer wire.drop()
		in.left = -1
		op.inCaller = true // nothing but reading here
		err := in.ownError(wire.fill(in, ""))
		op.inCaller = false
		switch {
		case errors.Is(err, ErrTooLarge):
			return tooLarge(op.maxBytes)
		case err != nil:
			return err
		}
		op.beside = wire.held()
		return c.whole(op, *wire.dst)
	}))
}

// DecompressBytes is Decompress for a body that is in memory. wire stays the
// caller's, is only read, and not after the return; its capacity counts as one
// of the buffers that are alive. A gzip member's own word for its size is
// believed up to 64 times what has arrived.
func DecompressBytes(encoding string, dst *[]byte, wire []byte, maxBytes int, room Room) (*[]byte, error) {
	op := &decompression{room: room, maxBytes: max(maxBytes, 0), dst: dst, beside: cap(wire)}
	return op.finish(op.run(encoding, func(c codec) error {
		switch {
		case c.name != "" && len(wire) > maxWireBytes(op.maxBytes),
			c.name == "" && len(wire) > op.maxBytes:
			return tooLarge(op.maxBytes)
		case c.whole != nil:
			return c.whole(op, wire)
		}
		if c.guess != nil {
			if err := op.fresh(min(max(c.guess(wire), minBuffer), op.maxBytes)); err != nil {
				return err
			}
		}
		return c.stream(op, bytes.NewReader(wire))
	}))
}

// codec undoes one encoding: as it comes, or all at once.
type codec struct {
	name   string // for messages; "" is plain
	stream func(op *decompression, src io.Reader) error
	guess  func(wire []byte) int // of the size, for stream from memory; nil is none
	whole  func(op *decompression, wire []byte) error
}

func codecFor(encoding string) (codec, bool) {
	switch strings.ToLower(encoding) {
	case "", "identity":
		return codec{stream: func(op *decompression, src io.Reader) error { return op.fill(src, "") },
			guess: func(wire []byte) int { return len(wire) }}, true
	case "gzip", "x-gzip":
		return codec{name: "gzip", stream: gunzip, guess: gzipSize}, true
	case "zlib", "deflate":
		return codec{name: "zlib", stream: unzlib, guess: zlibSize}, true
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

// run calls decode with the codec for encoding. A decoder that panics has met a
// body that it cannot take; what the caller's own code panics with goes on.
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
			op.dst = nil // the decoder may still point into it: not to the pool
			err = fmt.Errorf("%w, the %s decoder gave up on it: %v", ErrCorrupt, c.name, p)
		}
	}()
	if op.dst != nil {
		if err := op.reserve(op.beside + op.held()); err != nil {
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

// maxWireBytes bounds what goes in. No encoding makes its input longer than
// this but in many tiny pieces.
func maxWireBytes(maxBytes int) int { return maxBytes + maxBytes/16 + 4<<10 }

// source counts, and remembers why its reader broke off, which tells a broken
// connection from broken data.
type source struct {
	r    io.Reader
	op   *decompression
	left int   // bytes that may still come; -1 is without end
	err  error // nil also after io.EOF
}

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		p = p[:min(len(p), 1)] // one byte tells the end from too much
	} else if s.left > 0 {
		p = p[:min(len(p), s.left)]
	}
	before := s.op.inCaller
	s.op.inCaller = true
	n, err := s.r.Read(p)
	s.op.inCaller = before
	if s.left == 0 && n > 0 {
		s.err = tooLarge(s.op.maxBytes)
		return 0, s.err
	}
	if s.left > 0 {
		s.left -= n
	}
	if err != nil && err != io.EOF {
		s.err = fmt.Errorf("read the body: %w", err)
	}
	return n, err
}

// ownError returns the source's own failure, if there was one, instead of what a
// decoder made of it.
func (s *source) ownError(err error) error {
	if s.err != nil {
		return s.err
	}
	return err
}

func tooLarge(maxBytes int) error { return fmt.Errorf("%w of %d bytes", ErrTooLarge, maxBytes) }

func corrupt(encoding string, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: the %s ends too early", ErrCorrupt, encoding)
	}
	return fmt.Errorf("%w, it is no valid %s: %w", ErrCorrupt, encoding, err)
}
