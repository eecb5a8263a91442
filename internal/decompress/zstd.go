package decompress

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/config"
)

const (
	// maxZstdWindowBytes is the maximum window. An encoder must not exceed 8 MiB
	// (RFC 9659, section 3), but some do, and here it costs nothing: the result is the
	// window.
	maxZstdWindowBytes = zstd.MaxWindowSize
	// maxZstdBlockBytes is the maximum decompressed size of a block (RFC 8878,
	// section 3.1.1.2).
	maxZstdBlockBytes = 128 << 10

	// Batches of telemetry are about 8 times as large as their compressed form.
	// The size that a body declares is used up to cheapRatio times its
	// compressed size.
	typicalRatio = 8
	cheapRatio   = 64
)

// zstdWhole decodes bodies in memory. Its decoders write directly to the
// result: they have no window of their own, and start no goroutines.
var zstdWhole = sync.OnceValue(func() *zstd.Decoder {
	return newZstdDecoder(zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

func newZstdDecoder(more ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, append([]zstd.DOption{
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindowBytes),
		zstd.WithDecodeBuffersBelow(0), // its short cut would bypass the limits
	}, more...)...)
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// unzstd decodes all frames of wire. A stream decoder would need a window of up
// to 8 MiB for each request, which most encoders declare and few need.
//
// If the frames do not declare their sizes (stream encoders do not know them),
// it allocates the maximum that their blocks can contain. If that is far more
// than is likely, as for many small blocks or zeros, it estimates the size, and
// starts again with a buffer of four times the size if that was too small: at
// most a third more work.
func unzstd(op *decompression, wire []byte) error {
	if len(wire) == 0 {
		return corrupt("zstd", io.EOF)
	}
	bounds, err := zstdBounds(wire)
	switch {
	case err != nil:
		return corrupt("zstd", err)
	case bounds.least > op.maxBytes:
		return tooLarge(op.maxBytes)
	}
	op.form = bounds.form()
	least, most := bounds.least, bounds.most
	// With space for one more block than the limit, a body that is too large is
	// reported as such, and not as a corrupt block or a buffer that is too
	// small.
	most = min(most, op.maxBytes+maxZstdBlockBytes+1)
	n := max(least, typicalRatio*len(wire))
	if most <= cheapRatio*len(wire) {
		n = most
	}
	for n = min(n, most); ; n = min(4*max(n, minBuffer), most) {
		if err := op.reset(n); err != nil {
			return err
		}
		n = max(n, cap(*op.dst))
		more := n / 4 // for shrink
		if n < most {
			// The decoder appends an uncompressed block without checking the
			// capacity, to a temporary buffer of its own.
			more = n + n/4 + 2*maxZstdBlockBytes
		}
		if err := op.reserve(op.otherBytes + n + more); err != nil {
			return err
		}
		out, err := zstdWhole().DecodeAll(wire, (*op.dst)[:0])
		switch tooSmall := errors.Is(err, zstd.ErrDecoderSizeExceeded) || len(out)+maxZstdBlockBytes > n; {
		case len(out) > op.maxBytes:
			return tooLarge(op.maxBytes)
		case err == nil:
			*op.dst = (*op.dst)[:len(out)]
			op.shrink()
			return nil
		case n < most && tooSmall:
		case errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return tooLarge(op.maxBytes)
		default:
			return corrupt("zstd", err)
		}
	}
}

// zstdSize is what the headers of a body say.
type zstdSize struct {
	least, most int    // bytes after decompression
	parts       int    // frames, also those to be skipped
	skipped     int    // of parts
	window      uint64 // the largest
}

// form returns the form of the body.
func (s zstdSize) form() Form {
	if s.window > maxSharedWindowBytes {
		return Form{}
	}
	return Form{config.Zstd, s.parts == 1 && s.skipped == 0}
}

// zstdBounds reads only the headers of the blocks, and returns the minimum and
// maximum decompressed size of wire. Its errors are errors of the decoder too.
//
//	frame = header, blocks, 4 bytes checksum if the header says so
//	block = 3 bytes: last (1 bit), kind (2), size (21); then size bytes, or 1 that repeats
func zstdBounds(wire []byte) (s zstdSize, err error) {
	for len(wire) > 0 {
		var h zstd.Header
		if err := h.Decode(wire); err != nil {
			return s, err
		}
		s.parts++
		frame := uint64(h.HeaderSize)
		if h.Skippable {
			frame += uint64(h.SkippableSize)
		}
		if frame > uint64(len(wire)) {
			return s, io.ErrUnexpectedEOF
		}
		wire = wire[frame:]
		if h.Skippable {
			s.skipped++
			continue
		}
		l, m, n, err := zstdBlocks(wire)
		if err != nil {
			return s, err
		}
		if h.HasFCS {
			if h.FrameContentSize < uint64(l) || h.FrameContentSize > uint64(m) {
				return s, fmt.Errorf("a frame of %d bytes declares %d bytes, its blocks contain %d to %d", n, h.FrameContentSize, l, m)
			}
			l, m = int(h.FrameContentSize), int(h.FrameContentSize)
		}
		s.least, s.most, wire = s.least+l, s.most+m, wire[n:]
		s.window = max(s.window, h.WindowSize)
		if h.SingleSegment { // the window is the content
			s.window = max(s.window, h.FrameContentSize)
		}
		if h.HasCheckSum {
			if len(wire) < 4 {
				return s, io.ErrUnexpectedEOF
			}
			wire = wire[4:]
		}
	}
	return s, nil
}

// zstdBlocks is zstdBounds for the blocks of one frame, which are n bytes long.
func zstdBlocks(wire []byte) (least, most, n int, err error) {
	const (
		raw, repeated, compressed = 0, 1, 2
		headerBytes               = 3
	)
	for last := false; !last; {
		if len(wire)-n < headerBytes {
			return 0, 0, 0, io.ErrUnexpectedEOF
		}
		header := int(wire[n]) | int(wire[n+1])<<8 | int(wire[n+2])<<16
		size, bytes := header>>3, header>>3
		last = header&1 != 0
		switch header >> 1 & 3 {
		case raw:
			least, most = least+size, most+size
		case repeated:
			least, most = least+size, most+size
			bytes = 1
		case compressed:
			most += maxZstdBlockBytes
		default:
			return 0, 0, 0, errors.New("a block of the reserved kind")
		}
		if size > maxZstdBlockBytes {
			return 0, 0, 0, fmt.Errorf("a block of %d bytes: expected at most %d", size, maxZstdBlockBytes)
		}
		if n += headerBytes + bytes; n > len(wire) {
			return 0, 0, 0, io.ErrUnexpectedEOF
		}
	}
	return least, most, n, nil
}
