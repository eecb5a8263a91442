package decompress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"

	"github.com/penstock-telemetry/penstock/config"
)

// The frame format of LZ4, version 1.6.x, sections "General structure" and "Frame
// descriptor". The library's own reader allocates the block size that a frame
// declares, up to 4 MiB, before the first block has arrived, and copies every
// block. Here the library decodes each block to its place in the result, which is
// allocated once with the right size.
//
//	frame = magic, flags (1 byte), block size (1), content size (8)?, header checksum (1),
//	        blocks, end mark (4 zero bytes), content checksum (4)?
//	block = length (4 bytes; highest bit: plain bytes), as many bytes, checksum (4)?
const (
	lz4Magic     = 0x184d2204
	lz4Skippable = 0x184d2a50 // to 0x184d2a5f
	lz4Window    = 64 << 10   // maximum distance of a match in a linked block
)

// lz4Frame is a frame's header.
type lz4Frame struct {
	linked, blockSums, contentSum bool
	blockBytes                    int // maximum decompressed size of a block
	sized                         bool
	size                          uint64
}

// lz4Visitor is called for each part of a body.
type lz4Visitor interface {
	start()
	block(f *lz4Frame, data []byte, packed bool) error
	end(f *lz4Frame, sum []byte) error // sum is nil if there is none
}

func unlz4(op *decompression, wire []byte) error {
	if len(wire) == 0 {
		return corrupt("lz4", io.EOF)
	}
	m := &lz4Measure{maxBytes: op.maxBytes}
	parts, err := walkLZ4(wire, m)
	if err != nil {
		return lz4Error(err)
	}
	op.form = Form{config.LZ4, parts == 1}
	if err := op.reset(m.total); err != nil {
		return err
	}
	d := &lz4Decode{out: (*op.dst)[:m.total]}
	_, err = walkLZ4(wire, d)
	*op.dst = d.out[:d.n]
	return lz4Error(err)
}

func lz4Error(err error) error {
	if err == nil || errors.Is(err, ErrTooLarge) {
		return err
	}
	return corrupt("lz4", err)
}

// lz4Measure adds up the decompressed sizes.
type lz4Measure struct {
	maxBytes, total, frame int
}

func (m *lz4Measure) start() { m.frame = 0 }

func (m *lz4Measure) block(f *lz4Frame, data []byte, packed bool) error {
	n := len(data)
	if packed {
		var ok bool
		if n, ok = lz4BlockLen(data); !ok {
			return io.ErrUnexpectedEOF
		}
	}
	if n > f.blockBytes {
		return fmt.Errorf("a block of %d bytes: its frame allows at most %d", n, f.blockBytes)
	}
	m.frame += n
	if m.total += n; m.total > m.maxBytes {
		return tooLarge(m.maxBytes)
	}
	return nil
}

func (m *lz4Measure) end(f *lz4Frame, _ []byte) error {
	if f.sized && f.size != uint64(m.frame) {
		return fmt.Errorf("a frame declares %d bytes and contains %d", f.size, m.frame)
	}
	return nil
}

// lz4Decode decodes into out, which has the size that lz4Measure returned.
type lz4Decode struct {
	out      []byte
	n, begun int // begun is the start of the frame
}

func (d *lz4Decode) start() { d.begun = d.n }

func (d *lz4Decode) block(f *lz4Frame, data []byte, packed bool) error {
	if !packed {
		d.n += copy(d.out[d.n:], data)
		return nil
	}
	var before []byte
	if f.linked {
		before = d.out[max(d.begun, d.n-lz4Window):d.n]
	}
	n, err := lz4.UncompressBlockWithDict(data, d.out[d.n:], before)
	d.n += n
	return err
}

func (d *lz4Decode) end(_ *lz4Frame, sum []byte) error {
	if sum != nil && binary.LittleEndian.Uint32(sum) != xxh32(d.out[d.begun:d.n]) {
		return errors.New("the content's checksum is wrong")
	}
	return nil
}

// lz4BlockLen returns the decompressed size of a block, and whether the block
// is complete.
//
//	sequence = token (literals << 4 | match - 4), more literals?, the literals, offset (2 bytes), more match?
//
// where 15 in the token means that bytes to be added follow, up to one below 255.
// The last sequence ends after its literals.
func lz4BlockLen(b []byte) (n int, whole bool) {
	const more, minMatch = 15, 4
	for i := 0; i < len(b); {
		token := int(b[i])
		i++
		literals, match := token>>4, token&0xf
		if literals == more {
			literals, i = lz4More(b, literals, i)
		}
		i += literals
		n += literals
		switch {
		case i == len(b):
			return n, true
		case i+2 > len(b):
			return 0, false
		}
		i += 2
		if match == more {
			match, i = lz4More(b, match, i)
		}
		n += match + minMatch
		if i > len(b) {
			return 0, false
		}
	}
	return n, true
}

// lz4More adds the length bytes at i to n; it returns an index after the end if
// b is too short.
func lz4More(b []byte, n, i int) (int, int) {
	for i < len(b) {
		c := b[i]
		i++
		n += int(c)
		if c != 255 {
			return n, i
		}
	}
	return n, len(b) + 1
}

// walkLZ4 calls v for the frames of wire, one or more, and their blocks. It
// checks headers and the checksums of blocks, and returns the number of frames, with those
// that are skipped.
func walkLZ4(wire []byte, v lz4Visitor) (parts int, err error) {
	frames := 0
	for len(wire) > 0 {
		if len(wire) < 4 {
			return parts, io.ErrUnexpectedEOF
		}
		parts++
		switch magic := binary.LittleEndian.Uint32(wire); {
		case magic == lz4Magic:
		case magic&^0xf == lz4Skippable:
			if len(wire) < 8 || uint64(binary.LittleEndian.Uint32(wire[4:])) > uint64(len(wire)-8) {
				return parts, io.ErrUnexpectedEOF
			}
			wire = wire[8+int(binary.LittleEndian.Uint32(wire[4:])):]
			continue
		default:
			return parts, fmt.Errorf("the frame begins with %#08x: expected %#08x", magic, lz4Magic)
		}
		f, rest, err := parseLZ4Frame(wire[4:])
		if err != nil {
			return parts, err
		}
		v.start()
		if wire, err = walkLZ4Blocks(f, rest, v); err != nil {
			return parts, err
		}
		frames++
	}
	if frames == 0 {
		return parts, io.ErrUnexpectedEOF
	}
	return parts, nil
}

// parseLZ4Frame reads what follows the magic number.
func parseLZ4Frame(b []byte) (*lz4Frame, []byte, error) {
	const (
		dictionary, reserved, contentSum, sized = 1 << 0, 1 << 1, 1 << 2, 1 << 3
		blockSums, independent                  = 1 << 4, 1 << 5
		sizeReserved                            = 0x8f
	)
	if len(b) < 3 {
		return nil, nil, io.ErrUnexpectedEOF
	}
	flags, size := b[0], b[1]
	n := 2
	f := &lz4Frame{linked: flags&independent == 0, blockSums: flags&blockSums != 0,
		contentSum: flags&contentSum != 0, sized: flags&sized != 0}
	if f.sized {
		n += 8
	}
	switch class := size >> 4 & 7; {
	case flags>>6 != 1:
		return nil, nil, fmt.Errorf("version %d of the frame format: expected 1", flags>>6)
	case flags&dictionary != 0:
		return nil, nil, errors.New("a frame needs a dictionary")
	case flags&reserved != 0 || size&sizeReserved != 0:
		return nil, nil, errors.New("a frame's header sets reserved bits")
	case class < 4:
		return nil, nil, fmt.Errorf("unknown block size %d: expected 4 to 7", class)
	case len(b) <= n:
		return nil, nil, io.ErrUnexpectedEOF
	case byte(xxh32(b[:n])>>8) != b[n]:
		return nil, nil, errors.New("the checksum of a frame's header is wrong")
	default:
		f.blockBytes = 1 << (8 + 2*class) // 64 KiB to 4 MiB
	}
	if f.sized {
		f.size = binary.LittleEndian.Uint64(b[2:])
	}
	return f, b[n+1:], nil
}

// walkLZ4Blocks calls v for the blocks up to the end of the frame, and returns
// the rest of b.
func walkLZ4Blocks(f *lz4Frame, b []byte, v lz4Visitor) ([]byte, error) {
	const plain = 1 << 31
	for {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		head := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if head == 0 {
			break
		}
		n, tail := int(head&^plain), 0
		if f.blockSums {
			tail = 4
		}
		if len(b)-tail < n {
			return nil, io.ErrUnexpectedEOF
		}
		data := b[:n]
		if f.blockSums && binary.LittleEndian.Uint32(b[n:]) != xxh32(data) {
			return nil, errors.New("a block's checksum is wrong")
		}
		if err := v.block(f, data, head&plain == 0); err != nil {
			return nil, err
		}
		b = b[n+tail:]
	}
	var sum []byte
	if f.contentSum {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		sum, b = b[:4], b[4:]
	}
	return b, v.end(f, sum)
}
