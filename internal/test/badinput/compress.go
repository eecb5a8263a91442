package badinput

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// compress writes b in a content coding. zlib and deflate are the same: RFC
// 9110, section 8.4.1.2, means the zlib format by deflate.
func compress(name string, b []byte) ([]byte, error) {
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch name {
	case "", "identity":
		return b, nil
	case "gzip":
		w, err = gzip.NewWriterLevel(&out, gzip.BestSpeed)
	case "zlib", "deflate":
		w, err = zlib.NewWriterLevel(&out, zlib.BestSpeed)
	case "zstd":
		w, err = zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithSingleSegment(false))
	case "snappy":
		return snappy.Encode(nil, b), nil
	case "x-snappy-framed":
		w = snappy.NewBufferedWriter(&out)
	case "lz4":
		z := lz4.NewWriter(&out)
		err = z.Apply(lz4.ChecksumOption(true), lz4.ConcurrencyOption(1))
		w = z
	default:
		return nil, fmt.Errorf("compress: unknown encoding %q", name)
	}
	if err != nil {
		return nil, fmt.Errorf("compress with %s: %w", name, err)
	}
	if _, err := w.Write(b); err != nil {
		return nil, fmt.Errorf("compress with %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compress with %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// codecFunctions make each coding a function: X | gzip.
func codecFunctions() map[string]function {
	all := map[string]function{}
	for name, encoding := range map[string]string{
		"gzip": "gzip", "zlib": "zlib", "deflate": "deflate", "zstd": "zstd", "snappy": "snappy", "framed": "x-snappy-framed", "lz4": "lz4",
	} {
		all[name] = function{pipe: true, usage: "X | " + name, run: func(a *arguments) ([]byte, error) { return compress(encoding, a.in) }}
	}
	return all
}
