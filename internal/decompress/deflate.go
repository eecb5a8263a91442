package decompress

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"

	"github.com/penstock-telemetry/penstock/config"
)

// inflater reads gzip or zlib. It has its own readers, so that a pooled
// inflater does not keep a reference to its last request.
type inflater struct {
	buffered bufio.Reader
	memory   bytes.Reader
	in       byteSource // buffered or memory
	gzip     gzip.Reader
	members  int // of gzip that have begun
	zlib     io.ReadCloser // nil until first needed, as raw
	raw      io.ReadCloser
}

// byteSource is read byte by byte, so that no data after the stream is lost.
type byteSource interface {
	flate.Reader
	io.ByteScanner
}

// first returns the next two bytes of the input, as a number, without reading them.
func (z *inflater) first() (n uint16, ok bool) {
	var b [2]byte
	if z.in == &z.memory {
		_, err := z.memory.ReadAt(b[:], z.memory.Size()-int64(z.memory.Len()))
		return binary.BigEndian.Uint16(b[:]), err == nil
	}
	head, err := z.buffered.Peek(2)
	if err != nil {
		return 0, false
	}
	return binary.BigEndian.Uint16(head), true
}

// inflaters is only a cache.
var inflaters = sync.Pool{New: func() any { return new(inflater) }}

func newInflater(src io.Reader) *inflater {
	z := inflaters.Get().(*inflater)
	z.members = 0
	if m, ok := src.(*bytes.Reader); ok {
		z.memory = *m
		z.in = &z.memory
	} else {
		z.buffered.Reset(src)
		z.in = &z.buffered
	}
	return z
}

// reserveInflater counts an inflater as one of the buffers in use.
func (op *decompression) reserveInflater() error {
	op.otherBytes += inflaterBytes
	return op.reserve(op.otherBytes + op.held())
}

// release is not called after a panic: that inflater is not used again.
func (z *inflater) release() {
	z.memory.Reset(nil)
	z.buffered.Reset(nil)
	z.gzip.Header = gzip.Header{}
	inflaters.Put(z)
}

// more reports whether there are bytes left.
func (z *inflater) more() (bool, error) {
	if _, err := z.in.ReadByte(); err == io.EOF {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, z.in.UnreadByte()
}

func gunzip(op *decompression, src io.Reader) error {
	if err := op.reserveInflater(); err != nil {
		return err
	}
	z := newInflater(src)
	err := z.member()
	if err != nil {
		err = corrupt("gzip", err)
	} else {
		err = op.fill(gunzipper{z}, "gzip")
		op.form = Form{config.Gzip, z.members == 1}
	}
	z.release()
	return err
}

// gunzipper joins the members (RFC 1952, section 2.2). Data after the last
// member that is not a member is an error. The library's own multistream mode
// treats a truncated header as the end.
type gunzipper struct{ z *inflater }

// member reads a member's header.
func (z *inflater) member() error {
	if err := z.gzip.Reset(z.in); err != nil {
		return noEOF(err)
	}
	z.gzip.Multistream(false)
	z.members++
	return nil
}

func (g gunzipper) Read(p []byte) (int, error) {
	for {
		n, err := g.z.gzip.Read(p)
		if err != io.EOF {
			return n, err
		}
		if more, err := g.z.more(); err != nil {
			return n, err
		} else if !more {
			return n, io.EOF
		}
		if err := g.z.member(); err != nil || n > 0 {
			return n, err
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
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

// zlibSize returns an estimate: a zlib stream does not declare its size.
func zlibSize(wire []byte) int { return typicalRatio * len(wire) }

var errTrailing = errors.New("unexpected data after the end")

func unzlib(op *decompression, src io.Reader) error { return inflate(op, src, false) }

// undeflate is unzlib for the content coding "deflate", which is zlib (RFC 9110, section
// 8.4.1.2). Some clients send the bare stream of RFC 1951, which begins with other
// bytes than the header of zlib (RFC 1950, section 2.2).
func undeflate(op *decompression, src io.Reader) error { return inflate(op, src, true) }

func inflate(op *decompression, src io.Reader, mayBeRaw bool) error {
	if err := op.reserveInflater(); err != nil {
		return err
	}
	z := newInflater(src)
	reset, form := z.resetZlib, Form{config.Zlib, true}
	if head, ok := z.first(); ok && mayBeRaw && (head>>8&0xf != 8 || head%31 != 0) {
		reset, form = z.resetRaw, Form{}
	}
	op.form = form
	err := z.unzlib(op, reset)
	z.release()
	return err
}

func (z *inflater) resetZlib() (r io.Reader, err error) {
	if z.zlib == nil {
		z.zlib, err = zlib.NewReader(z.in)
	} else {
		err = z.zlib.(zlib.Resetter).Reset(z.in, nil)
	}
	return z.zlib, err
}

func (z *inflater) resetRaw() (r io.Reader, err error) {
	if z.raw == nil {
		z.raw = flate.NewReader(z.in)
	} else {
		err = z.raw.(flate.Resetter).Reset(z.in, nil)
	}
	return z.raw, err
}

func (z *inflater) unzlib(op *decompression, reset func() (io.Reader, error)) error {
	r, err := reset()
	if err != nil {
		return corrupt("zlib", err)
	}
	if err := op.fill(r, "zlib"); err != nil {
		return err
	}
	more, err := z.more()
	if err == nil && more {
		err = errTrailing
	}
	if err != nil {
		return corrupt("zlib", err)
	}
	return nil
}
