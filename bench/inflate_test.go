package bench

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/bench/payload"
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/internal/decompress"

	"github.com/penstock-telemetry/penstock/config"
)

var bodies = map[string][]byte{"varied logs": payload.VariedLogs(1000), "spans": payload.Traces(1000)}

// BenchmarkGunzip compares the decoder of receivers with the stream decoder of a library.
func BenchmarkGunzip(b *testing.B) {
	for name, plain := range bodies {
		wire := written(b, plain, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
		b.Run(name+"/penstock", func(b *testing.B) { received(b, "gzip", wire, plain) })
		b.Run(name+"/stream", func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			z, out := new(gzip.Reader), make([]byte, len(plain))
			for b.Loop() {
				if err := z.Reset(bytes.NewReader(wire)); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(z, out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRelayedBytes is what the bytes of a request cost that is received and sent in a
// compression: decompressing, and compressing unless they leave as they came.
func BenchmarkRelayedBytes(b *testing.B) {
	plain := bodies["varied logs"]
	for _, c := range []config.Compression{config.Gzip, config.Zstd} {
		wire := written(b, plain, func(w io.Writer) (io.WriteCloser, error) {
			if c == config.Zstd {
				return zstd.NewWriter(w)
			}
			return gzip.NewWriter(w), nil
		})
		b.Run(string(c)+"/decompress", func(b *testing.B) { received(b, string(c), wire, plain) })
		z, err := compress.NewCompressor(c, config.CompressionParams{})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(string(c)+"/compress", func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				out, err := z.Compress(plain)
				if err != nil {
					b.Fatal(err)
				}
				bufpool.Put(out)
			}
		})
	}
}

// received decompresses as a receiver does.
func received(b *testing.B, encoding string, wire, plain []byte) {
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		out, form, err := decompress.Inspect(encoding, nil, wire, 64<<20, nil)
		if err != nil || len(*out) != len(plain) || !form.Single {
			b.Fatal(len(*out), form, err)
		}
		bufpool.Put(out)
	}
}

func written(b *testing.B, plain []byte, to func(io.Writer) (io.WriteCloser, error)) []byte {
	b.Helper()
	var out bytes.Buffer
	w, err := to(&out)
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		b.Fatal(err)
	}
	return out.Bytes()
}
