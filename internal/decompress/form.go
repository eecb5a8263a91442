package decompress

import (
	"errors"
	"io"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
)

// Form is what a compressed body turned out to be.
type Form struct {
	// Format is the format of the bytes, which the encoding may leave open: the encoding
	// snappy is a block or a framed stream. It is empty for bodies that are not compressed
	// and for those that other servers may refuse: deflate without the header of zlib, zstd
	// with a window above that of RFC 9659, and snappy with the repeated offsets of S2.
	Format config.Compression
	// Single says that the body is one member, frame or stream, and nothing else.
	Single bool
}

// maxSharedWindowBytes is the largest window of zstd that a server must support (RFC 9659,
// section 3).
const maxSharedWindowBytes = 8 << 20

// Inspect is DecompressBytes, and returns the form of wire.
func Inspect(encoding string, dst *[]byte, wire []byte, maxBytes int, memory Reserver) (*[]byte, Form, error) {
	op := &decompression{memory: memory, maxBytes: max(maxBytes, 0), dst: dst, otherBytes: cap(wire)}
	body, err := op.finish(op.run(encoding, func(c codec) error { return c.bytes(op, wire) }))
	return body, op.form, err
}

// Collect is Decompress, and returns the compressed bytes as well, in a buffer of bufpool
// that the caller owns, and their form. They are read to the end before they are
// decompressed. size is the length that is announced for src, if it is to be trusted, or
// 0.
func Collect(encoding string, src io.Reader, size, maxBytes int, memory Reserver) (body, wire *[]byte, form Form, err error) {
	op := &decompression{memory: memory, maxBytes: max(maxBytes, 0)}
	body, err = op.finish(op.run(encoding, func(c codec) (err error) {
		if wire, err = op.collect(src, size); err != nil {
			return err
		}
		op.otherBytes = cap(*wire)
		return c.bytes(op, *wire)
	}))
	if err != nil {
		bufpool.Put(wire)
		return nil, nil, Form{}, err
	}
	return body, wire, op.form, nil
}

// collect reads src to its end.
func (op *decompression) collect(src io.Reader, size int) (*[]byte, error) {
	wire := &decompression{memory: op.memory, maxBytes: maxWireBytes(op.maxBytes), otherBytes: op.held()}
	in := &source{r: src, op: op}
	op.inCaller = true // only reads here
	err := wire.reset(min(max(size, minBuffer), wire.maxBytes))
	if err == nil {
		err = in.ownError(wire.fill(in))
	}
	op.inCaller = false
	if errors.Is(err, ErrTooLarge) {
		err = tooLarge(op.maxBytes)
	}
	op.granted = wire.granted
	return wire.finish(err)
}

// bytes decompresses a body in memory.
func (c codec) bytes(op *decompression, wire []byte) error {
	switch {
	case c.whole != nil && len(wire) > maxWireBytes(op.maxBytes), c.whole == nil && len(wire) > op.maxBytes:
		return tooLarge(op.maxBytes)
	case c.whole != nil:
		return c.whole(op, wire)
	}
	if err := op.reset(len(wire)); err != nil {
		return err
	}
	*op.dst = append(*op.dst, wire...)
	return nil
}
