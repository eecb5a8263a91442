package fileexporter

import (
	"encoding/binary"
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
	// bytes. The error is an otherFormatError if the file may have anything that
	// is not a record in this format.
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
	e := encoding{json: cfg.Format == formatJSON, zstd: cfg.Compression == compressionZstd}
	return framing{
		around: prefixBytes, whole: e.wholeRecords,
		before: func(buf *[prefixBytes]byte, n int) []byte {
			binary.BigEndian.PutUint32(buf[:], uint32(n))
			return buf[:]
		},
	}
}
