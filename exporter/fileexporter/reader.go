package fileexporter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// maxReadBytes is the maximum size of one read: with a wrong length no more
// memory is allocated than there is data.
const maxReadBytes = 1 << 20

// Reader reads the records of a file.
type Reader struct {
	src            io.Reader
	maxRecordBytes int
	zstd           *zstd.Decoder // nil if records are not compressed
	offset         int64
	buf, plain     []byte
	err            error // the error that ended reading
}

// NewReader returns a reader of records that are not compressed. A record may
// have at most maxRecordBytes.
func NewReader(src io.Reader, maxRecordBytes int) *Reader {
	return &Reader{src: src, maxRecordBytes: maxRecordBytes}
}

// NewZstdReader returns a reader of records that were written with compression:
// zstd. A record may have at most maxRecordBytes, compressed and decompressed.
func NewZstdReader(src io.Reader, maxRecordBytes int) (*Reader, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(maxRecordBytes)))
	if err != nil {
		return nil, fmt.Errorf("setting up zstd: %w", err)
	}
	return &Reader{src: src, maxRecordBytes: maxRecordBytes, zstd: d}, nil
}

// Offset returns the offset of the next record in bytes.
func (r *Reader) Offset() int64 { return r.offset }

// Next returns the next record, which is valid until the next call. At the end
// of the file it returns io.EOF; if the file ends within a record the error is
// an io.ErrUnexpectedEOF. After an error every call returns the same error.
func (r *Reader) Next() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	record, err := r.next()
	r.err = err
	return record, err
}

func (r *Reader) next() ([]byte, error) {
	var prefix [prefixBytes]byte
	if n, err := io.ReadFull(r.src, prefix[:]); err != nil {
		if err == io.EOF && n == 0 {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("record at byte %d: read its length: %w", r.offset, err)
	}
	size := binary.BigEndian.Uint32(prefix[:])
	if uint64(size) > uint64(r.maxRecordBytes) {
		return nil, fmt.Errorf("record at byte %d: its length is %d bytes, expected at most %d; is this a file of length-prefixed records?", r.offset, size, r.maxRecordBytes)
	}
	if err := r.fill(int(size)); err != nil {
		return nil, fmt.Errorf("record at byte %d: read its %d bytes: %w", r.offset, size, err)
	}
	record := r.buf
	if r.zstd != nil {
		var err error
		if r.plain, err = r.zstd.DecodeAll(r.buf, r.plain[:0]); err != nil {
			return nil, fmt.Errorf("record at byte %d: decompress its %d bytes: %w", r.offset, size, err)
		}
		record = r.plain
	}
	r.offset += prefixBytes + int64(size)
	return record, nil
}

func (r *Reader) fill(size int) error {
	r.buf = r.buf[:0]
	for len(r.buf) < size {
		n := min(size-len(r.buf), maxReadBytes)
		r.buf = slices.Grow(r.buf, n)
		got, err := io.ReadFull(r.src, r.buf[len(r.buf):len(r.buf)+n])
		r.buf = r.buf[:len(r.buf)+got]
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}
