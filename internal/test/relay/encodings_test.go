package relay

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// form is one way in which clients compress.
type form struct {
	codec    pipeline.Codec
	encode   func(t testing.TB, b []byte) []byte
	encoding map[string]string // by transport; a transport that is missing has no name for it
}

func written(t testing.TB, b []byte, to func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := to(&out)
	noError(t, err)
	_, err = w.Write(b)
	noError(t, err)
	noError(t, w.Close())
	return out.Bytes()
}

// gzipped has a comment in its header: what penstock compresses itself has none.
func gzipped(t testing.TB, b []byte) []byte {
	return written(t, b, func(w io.Writer) (io.WriteCloser, error) {
		z := gzip.NewWriter(w)
		z.Comment = "as it came"
		return z, nil
	})
}

func zstded(t testing.TB, b []byte) []byte {
	return written(t, b, func(w io.Writer) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(128<<10))
	})
}

func framed(t testing.TB, b []byte) []byte {
	return written(t, b, func(w io.Writer) (io.WriteCloser, error) { return snappy.NewBufferedWriter(w), nil })
}

var forms = map[string]form{
	"gzip":          {pipeline.CodecGzip, gzipped, map[string]string{"grpc": "gzip", "http": "gzip"}},
	"zstd":          {pipeline.CodecZstd, zstded, map[string]string{"grpc": "zstd", "http": "zstd"}},
	"framed snappy": {pipeline.CodecSnappyFramed, framed, map[string]string{"grpc": "snappy", "http": "x-snappy-framed"}},
	"snappy block": {pipeline.CodecSnappyBlock, func(_ testing.TB, b []byte) []byte { return snappy.Encode(nil, b) },
		map[string]string{"http": "snappy"}},
	"zlib": {pipeline.CodecZlib, func(t testing.TB, b []byte) []byte {
		return written(t, b, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, 1) })
	}, map[string]string{"http": "deflate"}},
	"lz4": {pipeline.CodecLZ4, func(t testing.TB, b []byte) []byte {
		return written(t, b, func(w io.Writer) (io.WriteCloser, error) {
			z := lz4.NewWriter(w)
			return z, z.Apply(lz4.BlockSizeOption(lz4.Block64Kb))
		})
	}, map[string]string{"http": "lz4"}},
}
