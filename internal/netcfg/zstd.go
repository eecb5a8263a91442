package netcfg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

const (
	// maxZstdWindowBytes is what a decoder must support and an encoder must not
	// exceed for a content coding (RFC 9659, section 3).
	maxZstdWindowBytes = 8 << 20
	// maxZstdBlockBytes is the largest block; the least one on the wire, a
	// run-length block, takes 4 bytes (RFC 8878, section 3.1.1.2).
	maxZstdBlockBytes = 128 << 10
	minZstdBlockWire  = 4

	// Telemetry in batches comes out 8 to 16 times as large as it came. Up to
	// cheapRatio times what arrived may be tried in memory.
	guessedRatio = 16
	cheapRatio   = 64
)

// zstdWhole decodes bodies that are in memory. Its decoders write straight into
// the result: no window is kept beside it, and no goroutine is started.
var zstdWhole = sync.OnceValue(func() *zstd.Decoder {
	return newZstdDecoder(zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

func newZstdDecoder(more ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, append([]zstd.DOption{
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxZstdWindowBytes),
		zstd.WithDecodeBuffersBelow(0), // a short cut around the limits
	}, more...)...)
	if err != nil {
		panic(err) // the options are constants
	}
	return d
}

// unzstd reads all of src before it decodes. Decoding as it comes would keep a
// window of up to 8 MiB a request, which most encoders declare and few need.
func unzstd(dst *[]byte, src io.Reader, maxBytes int) (*[]byte, error) {
	// Incompressible data grows by 3 bytes a block, and by the frame's ends.
	maxWire := maxBytes + maxBytes/1024 + 1024
	wire, err := readInto(bufpool.Get(minBuffer), src, maxWire)
	defer func() { bufpool.Put(wire) }()
	switch {
	case errors.Is(err, ErrTooLarge):
		return dst, tooLarge(maxBytes)
	case err != nil:
		return dst, err
	case len(*wire) == 0:
		return dst, corrupt("zstd", io.EOF)
	}
	return unzstdBytes(dst, *wire, maxBytes)
}

// unzstdBytes decodes all frames of wire. Where the frame does not say how much
// comes out (stream encoders do not know), it guesses, and starts again with four
// times the room if that was too little: a third more work at worst.
//
// The decoder calls a block that lacks room in the result corrupt, so any error
// is taken for that as long as more room is cheap for what has arrived.
func unzstdBytes(dst *[]byte, wire []byte, maxBytes int) (*[]byte, error) {
	room := min(guessedRatio*len(wire), maxBytes)
	var h zstd.Header
	if h.Decode(wire) == nil && h.HasFCS && !h.Skippable {
		switch n := h.FrameContentSize; {
		case n > uint64(maxBytes):
			return dst, tooLarge(maxBytes)
		case n > uint64(len(wire)/minZstdBlockWire)*maxZstdBlockBytes:
			return dst, fmt.Errorf("%w: zstd: %d bytes cannot hold the %d that it promises", ErrCorrupt, len(wire), n)
		default:
			room = int(n)
		}
	}
	for {
		if cap(*dst) < room {
			bufpool.Put(dst)
			dst = bufpool.Get(room)
		}
		limit := min(cap(*dst), maxBytes)
		out, err := zstdWhole().DecodeAll(wire, (*dst)[:0:limit])
		if err == nil {
			*dst = (*dst)[:len(out)]
			return dst, nil
		}
		if limit == maxBytes || limit > cheapRatio*len(wire) {
			return unzstdSlowly(dst, wire, maxBytes)
		}
		room = min(4*max(limit, minBuffer), maxBytes)
	}
}

// unzstdSlowly has the last word on a body that did not decode in one piece. As a
// stream every block has room, and the decoder judges rightly. It keeps a window
// beside the result and is here for the rare.
func unzstdSlowly(dst *[]byte, wire []byte, maxBytes int) (*[]byte, error) {
	z, err := unzstdStream(bytes.NewReader(wire))
	if err != nil {
		return dst, err
	}
	defer z.Close()
	dst, err = readInto(dst, z, maxBytes)
	if err != nil && !errors.Is(err, ErrTooLarge) {
		err = corrupt("zstd", err)
	}
	return dst, err
}
