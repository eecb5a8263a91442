package fileexporter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/penstock-telemetry/penstock/otlp"
)

// An existing file is appended to only if it has the format of the configuration.
// Of length-prefixed records the chain of lengths must end with the file, and each
// record must begin like one; the first and the last are also decoded. Of lines, the
// first one must begin like a request and the last one must be complete. Whatever
// follows the last complete record is an incomplete record of a crash only if it
// looks like the beginning of one. Everything else is an otherFormatError.

// otherFormatError is the error about a file that has another format, in whole or in
// part, or is damaged.
type otherFormatError struct{ reason string }

func (e *otherFormatError) Error() string { return e.reason }

func otherFormat(format string, args ...any) error {
	return &otherFormatError{fmt.Sprintf(format, args...)}
}

// encoding is what the records of a file contain.
type encoding struct{ json, zstd bool }

const (
	// headBytes is how much of each record is read: enough for the beginning of
	// either encoding.
	headBytes = 32
	// pageBytes is the size of one read of a chain of records.
	pageBytes = 4 << 10
	// maxCheckedBytes is the maximum size of a record that is checked wholly.
	maxCheckedBytes = 1 << 20
	// maxWindowBytes is more than the window of any level of zstd.
	maxWindowBytes = 64 << 20
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} // RFC 8878, section 3.1.1

// wholeRecords returns the end of the last complete record in a file of size bytes.
// Of most records it reads only the beginning.
func (e encoding) wholeRecords(f io.ReaderAt, size int64) (end int64, err error) {
	p := page{f: f, size: size}
	var first, last *io.SectionReader // those that are not empty
	for end < size {
		head, err := p.at(end, prefixBytes+headBytes)
		if err != nil {
			return end, err
		}
		if len(head) < prefixBytes {
			break
		}
		n := int64(binary.BigEndian.Uint32(head))
		head = head[prefixBytes:]
		head = head[:min(int64(len(head)), n)]
		if n > 0 && !e.begins(head, n) {
			return end, otherFormat("the record at byte %d, of %d bytes, does not begin like one in this format", end, n)
		}
		next := end + prefixBytes + n
		if next > size {
			break
		}
		if n > 0 {
			last = io.NewSectionReader(f, end+prefixBytes, n)
			if first == nil {
				first = last
			}
		}
		end = next
	}
	for _, record := range []*io.SectionReader{first, last} {
		if record != nil && !e.contains(record) {
			return end, otherFormat("it has records that are not in this format")
		}
	}
	if end < size {
		return end, notLines(f, end, size)
	}
	return end, nil
}

// notLines returns an error if the bytes after the last complete record end like a
// line of JSON.
func notLines(f io.ReaderAt, from, size int64) error {
	lineEnd := []byte("}\n")
	tail := make([]byte, min(size-from, int64(len(lineEnd))))
	if _, err := f.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return fmt.Errorf("read the end: %w", err)
	}
	if bytes.Equal(tail, lineEnd) {
		return otherFormat("it ends with a line of JSON")
	}
	return nil
}

// page is a part of a file.
type page struct {
	f     io.ReaderAt
	size  int64
	start int64
	data  []byte
}

// at returns n bytes at an offset, which must be less than size, or those up to the
// end of the file. They are valid until the next call.
func (p *page) at(off int64, n int) ([]byte, error) {
	n = int(min(int64(n), p.size-off))
	if off < p.start || off+int64(n) > p.start+int64(len(p.data)) {
		p.start = off
		p.data = slices.Grow(p.data[:0], pageBytes)[:min(pageBytes, p.size-off)]
		if got, err := p.f.ReadAt(p.data, off); got < len(p.data) {
			return nil, fmt.Errorf("read at byte %d: %w", off, err)
		}
	}
	return p.data[off-p.start:][:n], nil
}

// begins reports whether head can be the beginning of a record of n bytes. It may be
// incomplete.
func (e encoding) begins(head []byte, n int64) bool {
	if e.zstd {
		return begins(head, zstdMagic)
	}
	return beginsRequest(head, n)
}

// begins reports whether b begins with start, as far as b goes.
func begins(b, start []byte) bool {
	n := min(len(b), len(start))
	return bytes.Equal(b[:n], start[:n])
}

// beginsRequest reports whether head can be the beginning of a request of n bytes in
// protobuf: a field that fits.
func beginsRequest(head []byte, n int64) bool {
	if len(head) > 1 && begins(head, zstdMagic) {
		return false
	}
	const varint, fixed64, lengthPrefixed, fixed32 = 0, 1, 2, 5
	tag, k := binary.Uvarint(head)
	if k <= 0 {
		return k == 0 && len(head) < binary.MaxVarintLen32
	}
	if num := tag >> 3; num == 0 || num >= 1<<29 {
		return false
	}
	switch tag & 7 {
	case varint, fixed64, fixed32:
		return true
	case lengthPrefixed:
		size, m := binary.Uvarint(head[k:])
		if m == 0 {
			return int64(len(head)) < n
		}
		return m > 0 && size <= uint64(n) && int64(k+m)+int64(size) <= n
	}
	return false
}

// jsonStarts are the beginnings of requests in JSON.
var jsonStarts = [][]byte{
	[]byte(`{"resourceSpans":`), []byte(`{"resourceMetrics":`), []byte(`{"resourceLogs":`), []byte(`{"resourceProfiles":`),
	[]byte(`{"dictionary":`), []byte(`{}`),
}

func beginsJSON(head []byte) bool {
	return slices.ContainsFunc(jsonStarts, func(start []byte) bool { return begins(head, start) })
}

// contains reports whether a complete record has this encoding.
func (e encoding) contains(record *io.SectionReader) bool {
	if !e.zstd {
		b := make([]byte, min(record.Size(), maxCheckedBytes))
		if _, err := record.ReadAt(b, 0); err != nil && err != io.EOF {
			return false
		}
		signals := otlp.Signals()
		return record.Size() > maxCheckedBytes || slices.ContainsFunc(signals[:], func(s otlp.Signal) bool {
			_, err := written.Check(s, b)
			return err == nil
		})
	}
	d, err := zstd.NewReader(io.NewSectionReader(record, 0, record.Size()),
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindowBytes))
	if err != nil {
		return false
	}
	defer d.Close()
	head := make([]byte, headBytes)
	n, err := io.ReadFull(d, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && err != io.EOF {
		return false
	}
	head = head[:n]
	if e.json {
		return beginsJSON(head)
	}
	return beginsRequest(head, math.MaxInt32)
}

// wholeLines returns the end of the last complete line in a file of size bytes.
func wholeLines(f io.ReaderAt, size int64) (end int64, err error) {
	if err := beginsLine(f, 0, size); err != nil {
		return 0, err
	}
	if end, err = lineStart(f, size); err != nil || end == 0 {
		return 0, err
	}
	last, err := lineStart(f, end-1)
	if err != nil {
		return 0, err
	}
	if closed, err := scanLine(f, last, end-1); err != nil {
		return 0, err
	} else if !closed {
		return 0, otherFormat("the line at byte %d is not complete", last)
	}
	if end == size {
		return end, nil
	}
	if closed, err := scanLine(f, end, size); err != nil {
		return 0, err
	} else if closed {
		return 0, otherFormat("the last line, at byte %d, is complete, but has no line end", end)
	}
	return end, nil
}

// lineStart returns the offset after the last line end before size, or 0.
func lineStart(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for end := size; end > 0; {
		part := buf[:min(int64(len(buf)), end)]
		end -= int64(len(part))
		if n, err := f.ReadAt(part, end); n < len(part) {
			return 0, fmt.Errorf("read at byte %d: %w", end, err)
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return end + int64(i) + 1, nil
		}
	}
	return 0, nil
}

// beginsLine returns an error if the bytes from one offset up to another do not
// begin like a line.
func beginsLine(f io.ReaderAt, from, to int64) error {
	head := make([]byte, min(to-from, headBytes))
	if n, err := f.ReadAt(head, from); n < len(head) {
		return fmt.Errorf("read at byte %d: %w", from, err)
	}
	if !beginsJSON(head) {
		return otherFormat("the line at byte %d does not begin like a request in JSON", from)
	}
	return nil
}

// scanLine reads the bytes from one offset up to another, which must be a line or
// its beginning, and reports whether it is complete.
func scanLine(f io.ReaderAt, from, to int64) (closed bool, err error) {
	if err := beginsLine(f, from, to); err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	var s lineState
	for at := from; at < to; {
		part := buf[:min(int64(len(buf)), to-at)]
		if n, err := f.ReadAt(part, at); n < len(part) {
			return false, fmt.Errorf("read at byte %d: %w", at, err)
		}
		for i, c := range part {
			if c < ' ' || s.closed() {
				return false, otherFormat("byte %d is not part of a line of JSON", at+int64(i))
			}
			s.next(c)
		}
		at += int64(len(part))
	}
	return s.closed(), nil
}

// lineState is the position in a line of JSON.
type lineState struct {
	depth            int
	begun            bool
	inText, escaping bool
}

func (s *lineState) closed() bool { return s.begun && s.depth == 0 }

func (s *lineState) next(c byte) {
	s.begun = true
	switch {
	case s.escaping:
		s.escaping = false
	case s.inText:
		s.escaping = c == '\\'
		s.inText = c != '"'
	case c == '"':
		s.inText = true
	case c == '{', c == '[':
		s.depth++
	case c == '}', c == ']':
		s.depth--
	}
}
