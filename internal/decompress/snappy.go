package decompress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"

	"github.com/klauspost/compress/s2"

	"github.com/penstock-telemetry/penstock/config"
)

// snappyMagic begins a framed stream. No valid block begins like this: its
// first copy would refer to data before its start.
const snappyMagic = "\xff\x06\x00\x00sNaPpY"

const (
	// maxSnappyChunkBytes is the maximum decompressed size of a chunk.
	maxSnappyChunkBytes = 64 << 10
	// maxSnappyRatio is the maximum compression ratio: a copy of 64 bytes has 3
	// bytes on the wire.
	maxSnappyRatio = 22
	// snappySumBytes is the length of a chunk's checksum.
	snappySumBytes = 4
)

// castagnoli is a table of constants.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// unsnappy decompresses a block, or a framed stream, like the Collector.
func unsnappy(op *decompression, wire []byte) error {
	if len(wire) >= len(snappyMagic) && string(wire[:len(snappyMagic)]) == snappyMagic {
		return unsnappyFramed(op, wire)
	}
	n, err := snappyBlockLen(wire, op.maxBytes)
	if err != nil {
		return err
	}
	if err := op.reset(n); err != nil {
		return err
	}
	*op.dst = (*op.dst)[:n]
	if _, err := s2.Decode(*op.dst, wire); err != nil {
		return corrupt("snappy block", err)
	}
	if !hasRepeats(wire) {
		op.form = Form{config.Snappy, true}
	}
	return nil
}

// hasRepeats reports whether a valid block is one of S2, which others do not read: it has copies
// with the offset 0, which repeat the last offset.
//
//	element = tag (1 byte; lowest 2 bits: kind), and by kind
//	  0  literal: length - 1 in the tag, or from 60 on in the 1 to 4 bytes that follow; the bytes
//	  1  copy: 3 bits of the offset in the tag, 1 byte   2, 3  copy: offset of 2, 4 bytes
func hasRepeats(block []byte) bool {
	_, i := binary.Uvarint(block)
	for i+1 < len(block) {
		tag := block[i]
		if tag&0xe3 == 1 && block[i+1] == 0 {
			return true
		}
		if size := elementSizes[tag]; size > 0 {
			i += int(size)
			continue
		}
		more := int(tag>>2) - 59
		var length [8]byte
		copy(length[:more], block[i+1:])
		i += 2 + more + int(binary.LittleEndian.Uint64(length[:]))
	}
	return false
}

// elementSizes are the lengths of elements of a block by their tags, 0 for literals that have
// their length in the bytes that follow.
var elementSizes = func() (sizes [256]uint8) {
	for tag := range sizes {
		sizes[tag] = [...]uint8{0, 2, 3, 5}[tag&3]
		if length := tag >> 2; tag&3 == 0 && length < 60 {
			sizes[tag] = uint8(length + 2)
		}
	}
	return sizes
}()

// snappyBlockLen returns the decompressed size that a block declares. A size
// that is impossible for the length of the block is an error.
func snappyBlockLen(block []byte, maxBytes int) (int, error) {
	if len(block) == 0 {
		return 0, corrupt("snappy block", io.EOF)
	}
	n, err := s2.DecodedLen(block)
	switch {
	case errors.Is(err, s2.ErrTooLarge) || n > maxBytes:
		return 0, tooLarge(maxBytes)
	case err != nil:
		return 0, corrupt("snappy block", err)
	case n > maxSnappyRatio*len(block):
		return 0, corrupt("snappy block", fmt.Errorf("%d bytes cannot contain the %d that they declare", len(block), n))
	}
	return n, nil
}

// unsnappyFramed first adds up the sizes of the chunks, then decodes each to its
// place. An empty stream is valid: encoders write no bytes for an empty input.
func unsnappyFramed(op *decompression, wire []byte) error {
	if len(wire) == 0 {
		return op.reset(0)
	}
	if !strings.HasPrefix(string(wire[:min(len(wire), len(snappyMagic))]), snappyMagic) {
		return corrupt("framed snappy", errors.New("the stream identifier is missing"))
	}
	total := 0
	streams, err := snappyChunks(wire, func(_ uint32, data []byte, packed bool) error {
		n := len(data)
		if packed {
			var err error
			if n, err = snappyBlockLen(data, maxSnappyChunkBytes); err != nil {
				return notTooLarge(err)
			}
		}
		if n > maxSnappyChunkBytes {
			return fmt.Errorf("a chunk of %d bytes: expected at most %d", n, maxSnappyChunkBytes)
		}
		if total += n; total > op.maxBytes {
			return tooLarge(op.maxBytes)
		}
		return nil
	})
	if err != nil {
		return framedError(err)
	}
	if err := op.reset(total); err != nil {
		return err
	}
	at, repeats := 0, false
	_, err = snappyChunks(wire, func(sum uint32, data []byte, packed bool) error {
		n := len(data)
		if packed {
			n, _ = s2.DecodedLen(data) // checked above
		}
		out := (*op.dst)[at : at+n : at+n]
		at += n
		if !packed {
			copy(out, data)
		} else if _, err := s2.Decode(out, data); err != nil {
			return err
		} else {
			repeats = repeats || hasRepeats(data)
		}
		if sum != snappySum(out) {
			return errors.New("a chunk's checksum is wrong")
		}
		return nil
	})
	*op.dst = (*op.dst)[:total]
	if !repeats {
		op.form = Form{config.SnappyFramed, streams == 1}
	}
	return framedError(err)
}

func framedError(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	return corrupt("framed snappy", err)
}

// notTooLarge replaces ErrTooLarge: a chunk that is too large does not mean
// that the body is.
func notTooLarge(err error) error {
	if errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("a chunk declares more than %d bytes", maxSnappyChunkBytes)
	}
	return err
}

// snappyChunks calls each for each chunk with data, until one fails, and returns the
// number of streams.
//
//	chunk = kind (1 byte), length (3 bytes, little endian), then as many bytes
//	0x00 = checksum, block   0x01 = checksum, plain bytes   0xff = the magic again
//	0x80 to 0xfe = skipped
func snappyChunks(wire []byte, each func(sum uint32, data []byte, packed bool) error) (streams int, err error) {
	const (
		packed, plain, start = 0x00, 0x01, 0xff
		firstSkipped         = 0x80
		headerBytes          = 4
	)
	for len(wire) > 0 {
		if len(wire) < headerBytes {
			return streams, io.ErrUnexpectedEOF
		}
		kind := wire[0]
		n := int(wire[1]) | int(wire[2])<<8 | int(wire[3])<<16
		if n > len(wire)-headerBytes {
			return streams, io.ErrUnexpectedEOF
		}
		body := wire[headerBytes : headerBytes+n]
		wire = wire[headerBytes+n:]
		switch {
		case kind == start:
			if string(body) != snappyMagic[headerBytes:] {
				return streams, errors.New("the stream identifier is not that of snappy")
			}
			streams++
		case kind == packed || kind == plain:
			if n < snappySumBytes {
				return streams, fmt.Errorf("a chunk of %d bytes has no checksum", n)
			}
			if err := each(binary.LittleEndian.Uint32(body), body[snappySumBytes:], kind == packed); err != nil {
				return streams, err
			}
		case kind < firstSkipped:
			return streams, fmt.Errorf("a chunk of the unknown kind %#x", kind)
		}
	}
	return streams, nil
}

// snappySum is the masked CRC-32C of the framing format, section 3.
func snappySum(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}
