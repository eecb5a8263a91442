package journal

import (
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/journal/segment"
)

// minCompress is the least length that is worth compressing.
const minCompress = 256

// The encoder and the decoder have one state each, which records take in turn.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxMemory(maxRecord))
	})
)

// compress makes the parts one compressed part, if it is smaller.
func (p *pending) compress() error {
	length := int(p.record.Length)
	if length < minCompress {
		return nil
	}
	z, err := encoder()
	if err != nil {
		return fmt.Errorf("make the encoder: %w", err)
	}
	joined := bufpool.Get(length)
	defer bufpool.Put(joined)
	b := (*joined)[:0]
	for _, part := range p.parts {
		b = append(b, part...)
	}
	small := bufpool.Get(z.MaxEncodedSize(length))
	out := z.EncodeAll(b, (*small)[:0])
	if len(out) >= length {
		bufpool.Put(small)
		return nil
	}
	p.parts, p.release = [][]byte{out}, func() { bufpool.Put(small) }
	p.record.Stored, p.record.Codec = uint32(len(out)), segment.Zstd
	return nil
}

// decompress fills buf, which has r.Length bytes.
func decompress(r segment.Record, stored, buf []byte) error {
	if r.Codec != segment.Zstd || len(buf) == 0 {
		return fmt.Errorf("%w: codec %d of %d bytes", segment.ErrCorrupt, r.Codec, r.Length)
	}
	z, err := decoder()
	if err != nil {
		return fmt.Errorf("make the decoder: %w", err)
	}
	out, err := z.DecodeAll(stored, buf[:0:len(buf)])
	if err != nil {
		return fmt.Errorf("%w: %w", segment.ErrCorrupt, err)
	}
	if len(out) != len(buf) {
		return fmt.Errorf("%w: %d bytes after decompression, expected %d", segment.ErrCorrupt, len(out), len(buf))
	}
	return nil
}
