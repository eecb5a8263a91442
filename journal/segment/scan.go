package segment

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// windowSize is how much of a file a Scanner has in memory.
const windowSize = 256 << 10

// pageSize is the unit in which a Scanner gives up bytes that cannot be read.
const pageSize = 4096

// Scanner finds the undamaged records of a file, in their order, in memory that does
// not depend on the file. What it cannot read, in the end, it takes for damage, page by
// page.
type Scanner struct {
	file io.ReaderAt
	id   uint64
	size int64
	lazy bool // payloads are not read
	// Retry is called when reading fails, and reports whether to try again. nil: no.
	Retry func(error) bool

	off    int64  // where the next record may be
	buf    []byte // a part of the file
	bufOff int64

	record  Record
	at      int64
	end     int64 // of the last undamaged record
	used    int64 // after it, nothing but zeros
	damaged int64
	readErr error // the latest
	unread  error
}

// NewScanner returns a Scanner of the records of the segment id from offset on, in a
// file of size bytes.
func NewScanner(file io.ReaderAt, id uint64, offset, size int64) *Scanner {
	offset = padded(max(offset, HeaderSize))
	return &Scanner{file: file, id: id, size: size, off: offset, end: offset, used: offset, buf: make([]byte, 0, min(windowSize, padded(size)))}
}

// NewHeaderScanner returns a Scanner that does not read payloads: whether they are
// damaged is found out by Read. It reads when Continue has said what.
func NewHeaderScanner(id uint64, offset int64) *Scanner {
	s := NewScanner(nil, id, offset, pageSize)
	s.size, s.lazy = 0, true
	return s
}

// Continue makes the scanner go on up to size bytes: the file has grown, or was opened
// again.
func (s *Scanner) Continue(file io.ReaderAt, size int64) { s.file, s.size = file, size }

// Next advances to the next undamaged record of kind Data, and returns false at the
// end of the file.
func (s *Scanner) Next() bool {
	for s.off+RecordHeaderSize <= s.size {
		r, ok := ParseRecord(s.window(s.off, RecordHeaderSize), s.id)
		if !ok || r.Size() > s.size-s.off {
			s.skip(s.search())
			continue
		}
		at := s.off
		if !s.lazy && s.checksum(at+RecordHeaderSize, int64(r.Stored)) != r.CRC {
			s.skip(at + r.Size())
			continue
		}
		s.off += r.Size()
		s.end, s.used = s.off, max(s.used, s.off)
		if r.Kind == Data {
			s.record, s.at = r, at
			return true
		}
	}
	s.skip(s.size)
	return false
}

// Record returns what Next found, and where.
func (s *Scanner) Record() (r Record, offset int64) { return s.record, s.at }

// Intact reads the payload of what Next found, and reports whether it is undamaged. Only
// after NewHeaderScanner that is not known.
func (s *Scanner) Intact() bool {
	return s.checksum(s.at+RecordHeaderSize, int64(s.record.Stored)) == s.record.CRC
}

// End is the offset after the last undamaged record.
func (s *Scanner) End() int64 { return s.end }

// Used is the offset after which the file has nothing but zeros, as far as it was
// scanned.
func (s *Scanner) Used() int64 { return s.used }

// Damaged is how many bytes were skipped, without zeros at the end.
func (s *Scanner) Damaged() int64 { return s.damaged }

// Unread reports that some bytes could not be read, and why; nil if all could.
func (s *Scanner) Unread() error { return s.unread }

// skip goes on at to, and counts what is not zero on the way.
func (s *Scanner) skip(to int64) {
	to = min(to, s.size)
	for s.off < to {
		w := s.window(s.off, int(min(to-s.off, int64(cap(s.buf)))))
		if n := len(bytes.TrimRight(w, "\x00")); n > 0 {
			last := s.off + int64(n)
			s.damaged += last - s.used
			s.used = padded(last)
		}
		s.off += int64(len(w))
	}
}

// search returns where the next thing is that looks like a record, or the size.
func (s *Scanner) search() int64 {
	for off := s.off + align; off+RecordHeaderSize <= s.size; {
		w := s.window(off, int(min(s.size-off, int64(cap(s.buf)))))
		for at := 0; ; at++ {
			i := bytes.Index(w[at:], []byte(marker))
			if i < 0 {
				break
			}
			at += i
			if begin := off + int64(at) - 4; at >= 4 && begin%align == 0 {
				if at+RecordHeaderSize-4 > len(w) { // perhaps complete in the next window
					break
				}
				if _, ok := ParseRecord(w[at-4:], s.id); ok {
					return begin
				}
			}
		}
		if off+int64(len(w)) >= s.size {
			break
		}
		off += int64(len(w)) - RecordHeaderSize // a multiple of align, since both are
	}
	return s.size
}

// checksum is the CRC of n bytes at off.
func (s *Scanner) checksum(off, n int64) (crc uint32) {
	for n > 0 {
		w := s.some(off, n)
		crc = Checksum(crc, w)
		off, n = off+int64(len(w)), n-int64(len(w))
	}
	return crc
}

// window returns n bytes at off, at most those of buf, which the next call overwrites.
// They are within the file.
func (s *Scanner) window(off int64, n int) []byte {
	if off < s.bufOff || off+int64(n) > s.bufOff+int64(len(s.buf)) {
		s.buf = s.buf[:min(s.size-off, int64(cap(s.buf)))]
		s.bufOff = off
		s.read(s.buf, off)
	}
	return s.buf[off-s.bufOff:][:n]
}

// some returns at least one and at most n bytes at off: those that are in memory, if
// there are any.
func (s *Scanner) some(off, n int64) []byte {
	if end := s.bufOff + int64(len(s.buf)); off >= s.bufOff && off < end {
		return s.window(off, int(min(n, end-off)))
	}
	return s.window(off, int(min(n, int64(cap(s.buf)))))
}

// read fills b. Bytes that cannot be read are set so that no record is found in them.
func (s *Scanner) read(b []byte, off int64) {
	for ok := false; !ok; {
		if s.readAll(b, off) {
			return
		}
		ok = s.Retry == nil || !s.Retry(s.readErr)
	}
	for len(b) > 0 {
		n := min(len(b), int(pageSize-off%pageSize))
		if !s.readAll(b[:n], off) {
			s.unread = s.readErr
			for i := range b[:n] {
				b[i] = 0xff
			}
		}
		b, off = b[n:], off+int64(n)
	}
}

func (s *Scanner) readAll(b []byte, off int64) bool {
	n, err := s.file.ReadAt(b, off)
	switch {
	case n == len(b):
		return true
	case errors.Is(err, io.EOF): // it became shorter
		clear(b[n:])
		return true
	}
	s.readErr = err
	return false
}

// Read reads the stored payload of r, whose record begins at offset, into buf, which
// has r.Stored bytes. ErrCorrupt means that it is not what was written.
func Read(file io.ReaderAt, id uint64, r Record, offset int64, buf []byte) error {
	var head [RecordHeaderSize]byte
	if err := readFull(file, head[:], offset); err != nil {
		return err
	}
	if got, ok := ParseRecord(head[:], id); !ok || got != r {
		return fmt.Errorf("read record %d at offset %d: %w: wrong header", r.Sequence, offset, ErrCorrupt)
	}
	if err := readFull(file, buf, offset+RecordHeaderSize); err != nil {
		return err
	}
	if Checksum(0, buf) != r.CRC {
		return fmt.Errorf("read record %d at offset %d: %w: wrong checksum", r.Sequence, offset, ErrCorrupt)
	}
	return nil
}

// readFull reads all of b. That the file ends before is damage.
func readFull(file io.ReaderAt, b []byte, off int64) error {
	n, err := file.ReadAt(b, off)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("read %d bytes at offset %d: %w: the file ends before", len(b), off, ErrCorrupt)
	}
	return fmt.Errorf("read %d bytes at offset %d: %w", len(b), off, err)
}
