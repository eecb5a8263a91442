package fileexporter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A framing is the format of records in a file.
type framing struct {
	// around is the number of bytes in addition to those of the record.
	around int
	// before returns the bytes before a record of n bytes. It may use buf.
	before func(buf *[prefixBytes]byte, n int) []byte
	after  []byte
	// whole returns the end of the last complete record in a file of size
	// bytes.
	whole func(f io.ReaderAt, size int64) (end int64, err error)
}

// framingOf returns the framing of a configuration: lines for JSON that is not
// compressed, else length prefixes.
func framingOf(cfg *Config) framing {
	if cfg.Format == formatJSON && cfg.Compression == "" {
		return framing{
			around: 1, after: []byte("\n"), whole: wholeLines,
			before: func(*[prefixBytes]byte, int) []byte { return nil },
		}
	}
	return framing{
		around: prefixBytes, whole: wholeRecords,
		before: func(buf *[prefixBytes]byte, n int) []byte {
			binary.BigEndian.PutUint32(buf[:], uint32(n))
			return buf[:]
		},
	}
}

// wholeLines searches for the last line end, backwards from the end of the
// file.
func wholeLines(f io.ReaderAt, size int64) (end int64, err error) {
	buf := make([]byte, 64<<10)
	for end = size; end > 0; {
		part := buf[:min(int64(len(buf)), end)]
		if n, err := f.ReadAt(part, end-int64(len(part))); n < len(part) {
			return 0, fmt.Errorf("read at byte %d: %w", end-int64(len(part)), err)
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return end - int64(len(part)) + int64(i) + 1, nil
		}
		end -= int64(len(part))
	}
	return 0, nil
}
