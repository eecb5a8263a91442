package compress

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"google.golang.org/grpc/encoding"

	"github.com/penstock-telemetry/penstock/internal/decompress"
)

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	return written(gzip.NewWriter(&out), &out, b)
}

// The decompressors for gRPC agree with the server's decoders, do not exceed the
// limit, and read the output of their compressors.
func FuzzGRPCCompressors(f *testing.F) {
	for _, b := range [][]byte{nil, []byte("x"), text(3000)} {
		f.Add(uint8(0), b, uint16(5000))
		f.Add(uint8(0), append(gzipped(b), gzipped(b)...), uint16(5000))
		f.Add(uint8(1), zstdSized(b), uint16(5000))
		f.Add(uint8(1), append(zstdStreamed(b), zstdSized(b)...), uint16(2000))
	}
	f.Add(uint8(1), zstdRuns(window8MiB, 2), uint16(65535))
	f.Add(uint8(1), zstdRuns(windowAbove8MiB, 2), uint16(65535))
	f.Add(uint8(1), zstdClaims(1<<40), uint16(65535))
	f.Fuzz(func(t *testing.T, which uint8, b []byte, limit uint16) {
		c := grpcEncodings[int(which)%len(grpcEncodings)]
		if len(b) > 0 { // gRPC does not compress empty messages
			var wire bytes.Buffer
			if err := grpcCompress(c, &wire, b, int(limit)+1); err != nil {
				t.Fatalf("%s: %v", c.Name(), err)
			}
			if got, err := grpcDecompress(c, &wire, len(b)); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%s: %d bytes became %d, %v", c.Name(), len(b), len(got), err)
			}
		}
		if len(b) == 0 {
			return
		}
		got, err := grpcDecompress(c, iotest.HalfReader(bytes.NewReader(b)), int(limit))
		want, wantErr := undo(grpcCoding(c.Name()), b, int(limit))
		switch {
		case c.Name() == "gzip" && err == nil && wantErr != nil && strings.Contains(wantErr.Error(), "unexpected end"):
			// The library treats a further member with a truncated header as
			// the end.
		case (err == nil) != (wantErr == nil),
			// For a body that is both corrupt and too large, the error depends on the
			// order of the checks: the server's decoders of zstd and snappy look ahead.
			c.Name() == "gzip" && errors.Is(err, decompress.ErrTooLarge) != errors.Is(wantErr, decompress.ErrTooLarge):
			t.Fatalf("%s: got %v, the oracle returned %v", c.Name(), err, wantErr)
		case err == nil && !bytes.Equal(got, want):
			t.Fatalf("%s: other bytes than the oracle's", c.Name())
		}
	})
}

// grpcCompress writes b in pieces of at most n bytes.
func grpcCompress(c encoding.Compressor, to io.Writer, b []byte, n int) error {
	w, err := c.Compress(to)
	if err != nil {
		return err
	}
	for ; len(b) > 0; b = b[min(n, len(b)):] {
		if _, err := w.Write(b[:min(n, len(b))]); err != nil {
			return err
		}
	}
	return w.Close()
}

// grpcDecompress reads like gRPC: up to the limit, and one byte more to detect
// a larger message.
func grpcDecompress(c encoding.Compressor, from io.Reader, limit int) ([]byte, error) {
	r, err := c.Decompress(from)
	if err != nil {
		return nil, err
	}
	defer r.(io.Closer).Close()
	b, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err == nil && len(b) > limit {
		err = fmt.Errorf("%w: %d bytes", decompress.ErrTooLarge, len(b))
	}
	return b, err
}
