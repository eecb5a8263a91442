package fileexporter

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// A framing is how records lie in a file, one after the other.
type framing struct {
	// around is how many bytes a record takes beside its own.
	around int
	// before returns what goes in front of a record of n bytes, in the buffer
	// given.
	before func(buf *[prefixBytes]byte, n int) []byte
	after  []byte
	// whole returns where the last whole record of a file of size bytes ends.
	whole func(f io.ReaderAt, size int64) (end int64, err error)
}

// framingOf: JSON is lines unless it is compressed.
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

// wholeLines looks for the last line end, from the end of the file.
func wholeLines(f io.ReaderAt, size int64) (end int64, err error) {
	buf := make([]byte, 64<<10)
	for end = size; end > 0; {
		part := buf[:min(int64(len(buf)), end)]
		if n, err := f.ReadAt(part, end-int64(len(part))); n < len(part) {
			return 0, fmt.Errorf("reading at byte %d: %w", end-int64(len(part)), err)
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			return end - int64(len(part)) + int64(i) + 1, nil
		}
		end -= int64(len(part))
	}
	return 0, nil
}
