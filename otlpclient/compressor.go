package otlpclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/compress"
)

// Compressor is a compression of HTTP request bodies that this package does not
// include: see WithCompressor. It must be safe for concurrent use.
type Compressor interface {
	// Encoding is the Content-Encoding of the bodies, such as "lz4".
	Encoding() string
	// AppendCompressed appends src, compressed, to dst and returns the result. It
	// only reads src, and keeps neither. dst has room for len(src) + len(src)/16 +
	// 4096 bytes more, which must suffice.
	AppendCompressed(dst, src []byte) ([]byte, error)
}

// WithCompressor makes an HTTP client whose settings name the compression
// c.Encoding() use c. gzip, zstd, zlib, deflate, snappy and x-snappy-framed need no
// such option; lz4 does. GRPC does not use it.
func WithCompressor(c Compressor) Option {
	return func(o *options) { o.compressors = append(o.compressors, c) }
}

// bodyCompressor compresses whole requests.
type bodyCompressor interface {
	Encoding() string
	Settings() compress.Settings
	compressor
}

// bodyCompressor returns the compressor that the settings name; nil is none.
func (o *options) bodyCompressor(cfg config.HTTPClient) (bodyCompressor, error) {
	for _, c := range o.compressors {
		if name := cfg.Compression.Encoding(); name != "" && name == c.Encoding() {
			return suppliedCompressor{c}, nil
		}
	}
	z, err := compress.NewCompressor(cfg.Compression, cfg.CompressionParams)
	switch {
	case errors.Is(err, compress.ErrNotIncluded):
		return nil, fmt.Errorf("%w: supply it with otlpclient.WithCompressor", err)
	case err != nil:
		return nil, err
	case z == nil:
		return nil, nil // not z: a nil *Compressor would not be a nil bodyCompressor
	}
	return z, nil
}

// suppliedCompressor is a Compressor as a bodyCompressor.
type suppliedCompressor struct{ Compressor }

// Settings implements bodyCompressor: what is supplied is one for each encoding.
func (suppliedCompressor) Settings() compress.Settings { return compress.Settings{} }

// errTooLong is the answer for a Compressor that makes requests longer.
var errTooLong = errors.New("the compressed request is longer than a compressor may make it")

// CompressTo implements bodyCompressor.
func (c suppliedCompressor) CompressTo(_ context.Context, src []byte, grow compress.Grow) ([]byte, error) {
	dst, err := grow(nil, len(src)+len(src)/16+4<<10)
	if err != nil {
		return nil, err
	}
	out, err := c.AppendCompressed(dst, src)
	if err == nil && len(out) > cap(dst) {
		err = errTooLong
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Encoding(), err)
	}
	return out, nil
}
