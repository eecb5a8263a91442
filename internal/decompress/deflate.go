package decompress

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"io"

	"github.com/penstock-telemetry/penstock/config"
)

var (
	errTrailing   = errors.New("unexpected data after the end")
	errGzipHeader = errors.New("the header is invalid")
	errZlibHeader = errors.New("the header is invalid, or names a dictionary")
	errSum        = errors.New("the checksum is wrong")
)

// inflating decodes the streams of one body to its result.
type inflating struct {
	op   *decompression
	z    *inflater
	wire []byte
	pos  int // of wire
}

// inflate calls streams with what it needs. expected is the size that the result probably
// has.
func (op *decompression) inflate(wire []byte, expected int, streams func(*inflating) error) error {
	op.otherBytes += inflaterBytes
	if err := op.reset(min(max(expected, minBuffer), op.maxBytes)); err != nil {
		return err
	}
	if err := op.reserve(op.otherBytes + op.held()); err != nil {
		return err
	}
	*op.dst = (*op.dst)[:0]
	i := &inflating{op: op, z: inflaters.Get().(*inflater), wire: wire}
	err := streams(i)
	i.z.release() // not after a panic
	return err
}

// stream decodes a stream at pos and returns its result.
func (i *inflating) stream() ([]byte, error) {
	i.z.begin(i.wire, i.pos, len(*i.op.dst))
	for {
		b := *i.op.dst
		i.z.out = b[:min(cap(b), i.op.maxBytes)]
		err := i.z.run()
		*i.op.dst = b[:i.z.o]
		switch {
		case err == nil:
			i.pos = i.z.pos
			return b[i.z.start:i.z.o], nil
		case err != errFull:
			return nil, err
		case len(i.z.out) >= i.op.maxBytes:
			return nil, tooLarge(i.op.maxBytes)
		}
		if err := i.op.enlarge(); err != nil {
			return nil, err
		}
	}
}

// inflateError adds the encoding to the errors of bodies.
func inflateError(encoding string, err error) error {
	for _, of := range []error{errInflate, errTrailing, errGzipHeader, errZlibHeader, errSum, io.ErrUnexpectedEOF} {
		if err == of {
			return corrupt(encoding, err)
		}
	}
	return err
}

// gunzip joins the members (RFC 1952, section 2.2). Data after the last member that is not
// a member is an error.
func gunzip(op *decompression, wire []byte) error {
	members := 0
	err := op.inflate(wire, gzipSize(wire), func(i *inflating) error {
		for i.pos < len(wire) || members == 0 {
			if err := i.member(); err != nil {
				return err
			}
			members++
		}
		return nil
	})
	op.form = Form{config.Gzip, members == 1}
	return inflateError("gzip", err)
}

// member decodes a member of gzip at pos.
func (i *inflating) member() error {
	n, err := gzipHeader(i.wire[i.pos:])
	if err != nil {
		return err
	}
	i.pos += n
	out, err := i.stream()
	if err != nil {
		return err
	}
	trailer := i.wire[i.pos:]
	if len(trailer) < 8 {
		return io.ErrUnexpectedEOF
	}
	i.pos += 8
	if binary.LittleEndian.Uint32(trailer) != crc32.ChecksumIEEE(out) || binary.LittleEndian.Uint32(trailer[4:]) != uint32(len(out)) {
		return errSum
	}
	return nil
}

// gzipHeader returns the length of the header of a member (RFC 1952, section 2.3).
func gzipHeader(b []byte) (int, error) {
	const (
		fixed                          = 10
		sum, extra, name, comment byte = 1 << 1, 1 << 2, 1 << 3, 1 << 4
		reserved                  byte = 0xe0 // a later version may have fields there (section 2.3.1.2)
		mostText                       = 511  // bytes of a name or comment, as Go's decoder has it
	)
	if len(b) < fixed {
		return 0, io.ErrUnexpectedEOF
	}
	if b[0] != 0x1f || b[1] != 0x8b || b[2] != 8 || b[3]&reserved != 0 {
		return 0, errGzipHeader
	}
	flags, n := b[3], fixed
	if flags&extra != 0 {
		if len(b) < n+2 {
			return 0, io.ErrUnexpectedEOF
		}
		n += 2 + int(binary.LittleEndian.Uint16(b[n:]))
	}
	for _, text := range [...]byte{name, comment} {
		if flags&text == 0 {
			continue
		}
		begin := n
		for {
			switch {
			case n >= len(b):
				return 0, io.ErrUnexpectedEOF
			case n-begin > mostText:
				return 0, errGzipHeader
			}
			n++
			if b[n-1] == 0 {
				break
			}
		}
	}
	if flags&sum != 0 {
		if len(b) < n+2 {
			return 0, io.ErrUnexpectedEOF
		}
		if binary.LittleEndian.Uint16(b[n:]) != uint16(crc32.ChecksumIEEE(b[:n])) {
			return 0, errGzipHeader
		}
		n += 2
	}
	if n > len(b) {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// gzipSize returns the size that the last member declares (RFC 1952, section
// 2.3.1: ISIZE), if that is plausible.
func gzipSize(wire []byte) int {
	if len(wire) < 18 { // a header and a trailer
		return 0
	}
	n := int64(binary.LittleEndian.Uint32(wire[len(wire)-4:]))
	if n > cheapRatio*int64(len(wire)) {
		return 0
	}
	return int(n)
}

// unzlib decodes one stream of zlib (RFC 1950).
func unzlib(op *decompression, wire []byte) error {
	op.form = Form{config.Zlib, true}
	return inflateError("zlib", op.inflate(wire, typicalRatio*len(wire), func(i *inflating) error {
		switch {
		case len(wire) < 2:
			return io.ErrUnexpectedEOF
		case !isZlib(wire) || wire[1]&0x20 != 0:
			return errZlibHeader
		}
		i.pos = 2
		out, err := i.stream()
		if err != nil {
			return err
		}
		switch trailer := wire[i.pos:]; {
		case len(trailer) < 4:
			return io.ErrUnexpectedEOF
		case binary.BigEndian.Uint32(trailer) != adler32.Checksum(out):
			return errSum
		case len(trailer) > 4:
			return errTrailing
		}
		return nil
	}))
}

// isZlib reports whether the bytes begin with the header of zlib (RFC 1950, section 2.2).
func isZlib(wire []byte) bool {
	head := binary.BigEndian.Uint16(wire)
	return head>>8&0xf == 8 && head>>12 <= 7 && head%31 == 0
}

// undeflate is unzlib for the content coding "deflate", which is zlib (RFC 9110, section
// 8.4.1.2). Some clients send the bare stream of RFC 1951, which begins with other bytes.
func undeflate(op *decompression, wire []byte) error {
	if len(wire) < 2 || wire[0]&0xf == 8 && binary.BigEndian.Uint16(wire)%31 == 0 {
		return unzlib(op, wire)
	}
	return inflateError("zlib", op.inflate(wire, typicalRatio*len(wire), func(i *inflating) error {
		if _, err := i.stream(); err != nil {
			return err
		}
		if i.pos < len(wire) {
			return errTrailing
		}
		return nil
	}))
}
