package testkit

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// Codecs are all codecs.
func Codecs() (all []pipeline.Codec) {
	for c := pipeline.CodecNone + 1; pipeline.AllCodecs().Has(c); c++ {
		all = append(all, c)
	}
	return all
}

// Compress returns b in a codec: one member, frame, stream or block.
func Compress(codec pipeline.Codec, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser
	switch codec {
	case pipeline.CodecGzip:
		w = gzip.NewWriter(&out)
	case pipeline.CodecZstd:
		w = must(zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1)))
	case pipeline.CodecZlib:
		w = zlib.NewWriter(&out)
	case pipeline.CodecSnappyBlock:
		return s2.EncodeSnappy(nil, b)
	case pipeline.CodecSnappyFramed:
		w = s2.NewWriter(&out, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	case pipeline.CodecLZ4:
		w = lz4.NewWriter(&out)
	default:
		panic(fmt.Sprint("compress with ", codec))
	}
	must(w.Write(b))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// Decompress returns what b is in a codec. It reads several members, frames or streams.
func Decompress(codec pipeline.Codec, b []byte) ([]byte, error) {
	in := bytes.NewReader(b)
	switch codec {
	case pipeline.CodecGzip:
		r, err := gzip.NewReader(in)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case pipeline.CodecZstd:
		r, err := zstd.NewReader(in, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return io.ReadAll(r)
	case pipeline.CodecZlib:
		r, err := zlib.NewReader(in)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(r)
	case pipeline.CodecSnappyBlock:
		return s2.Decode(nil, b)
	case pipeline.CodecSnappyFramed:
		return io.ReadAll(s2.NewReader(in))
	case pipeline.CodecLZ4:
		return decodeLZ4(in)
	}
	return nil, fmt.Errorf("decompress: unknown %s", codec)
}

// decodeLZ4 reads frames, of which a reader reads one.
func decodeLZ4(in *bytes.Reader) (out []byte, err error) {
	for err == nil && in.Len() > 0 {
		var frame []byte
		frame, err = io.ReadAll(lz4.NewReader(in))
		out = append(out, frame...)
	}
	return out, err
}

// must returns v, and panics if there is an error.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Attach makes a batch carry its bytes in a codec, and returns it.
func Attach(b *pipeline.Batch, codec pipeline.Codec) *pipeline.Batch {
	encoded := pipeline.NewBuffer(0)
	defer encoded.Release()
	encoded.Bytes = append(encoded.Bytes, Compress(codec, b.Bytes())...)
	b.AttachEncoded(encoded, codec, true)
	return b
}
