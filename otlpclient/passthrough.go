package otlpclient

import (
	"context"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// WithPassthrough makes a client send compressed bytes that a batch came in
// (pipeline.Batch.Encoded), where p allows it. Without the option all requests are
// compressed as the settings of the client say.
func WithPassthrough(p config.Passthrough) Option {
	return func(o *options) { o.passthrough = p }
}

// grpcCodecs and httpCodecs are the codecs that the protocols have a name for.
var (
	grpcCodecs = map[pipeline.Codec]string{pipeline.CodecGzip: "gzip", pipeline.CodecZstd: "zstd", pipeline.CodecSnappyFramed: "snappy"}
	httpCodecs = map[pipeline.Codec]string{
		pipeline.CodecGzip: "gzip", pipeline.CodecZstd: "zstd", pipeline.CodecZlib: "deflate", pipeline.CodecSnappyBlock: "snappy",
		pipeline.CodecSnappyFramed: "x-snappy-framed", pipeline.CodecLZ4: "lz4",
	}
)

// GRPCCapabilities returns the codecs of which a client with these settings sends
// compressed bytes as they came.
func GRPCCapabilities(c config.Compression, p config.Passthrough) pipeline.Capabilities {
	return capabilities(grpcCodec(c), grpcCodecs, p)
}

// HTTPCapabilities is GRPCCapabilities for HTTP.
func HTTPCapabilities(c config.Compression, p config.Passthrough) pipeline.Capabilities {
	return capabilities(httpCodec(c), httpCodecs, p)
}

func capabilities(own pipeline.Codec, known map[pipeline.Codec]string, p config.Passthrough) (c pipeline.Capabilities) {
	switch p.Mode {
	case config.PassOff:
	case config.PassAny:
		for codec := range known {
			c.Codecs |= pipeline.CodecsOf(codec)
		}
	default:
		c.Codecs = pipeline.CodecsOf(own)
	}
	if p.Merge {
		c.Members = c.Codecs
	}
	return c
}

// grpcCodec returns the codec of messages that a client compresses itself.
func grpcCodec(c config.Compression) pipeline.Codec {
	if c == config.Snappy {
		return pipeline.CodecSnappyFramed
	}
	return pipeline.CodecNamed(string(c))
}

// httpCodec is grpcCodec for HTTP.
func httpCodec(c config.Compression) pipeline.Codec {
	if c == config.Deflate {
		return pipeline.CodecZlib
	}
	return pipeline.CodecNamed(string(c))
}

// sendsBatch reports whether the bytes of the request are those of its batch, and not made
// of them.
func (r *Request) sendsBatch() bool {
	if r.Batch == nil || len(r.Bytes) == 0 {
		return false
	}
	b := r.Batch.Bytes()
	return len(b) == len(r.Bytes) && &b[0] == &r.Bytes[0]
}

// encoded returns the compressed bytes that the request came in, if a client with these
// capabilities sends them as they are; else the zero value.
func (r *Request) encoded(c pipeline.Capabilities) pipeline.Encoded {
	if c.Codecs == 0 || !r.sendsBatch() {
		return pipeline.Encoded{}
	}
	if e := r.Batch.Encoded(); c.CanUse(e) {
		return e
	}
	return pipeline.Encoded{}
}

// compressor is what requests are compressed with.
type compressor interface {
	// CompressTo returns src compressed, in memory of grow.
	CompressTo(ctx context.Context, src []byte, grow compress.Grow) ([]byte, error)
}

// compressOnce returns the batch of the request compressed, in memory of the batch: the
// same for all requests of the batch.
func (r *Request) compressOnce(ctx context.Context, key pipeline.EncodeKey, z compressor) ([]byte, error) {
	return r.Batch.EncodeOnce(ctx, key, func(ctx context.Context, buf *pipeline.Buffer) error {
		to := memory{ctx: ctx, batch: r.Batch, buf: buf}
		b, err := z.CompressTo(ctx, r.Bytes, to.grow)
		if err == nil {
			buf.Bytes = b
		}
		return err
	})
}
