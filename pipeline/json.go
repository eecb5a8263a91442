package pipeline

import (
	"context"

	"github.com/penstock-telemetry/penstock/otlp"
)

// jsonRatio is an estimate of the size of JSON relative to protobuf.
const jsonRatio = 3

// JSON returns a buffer with the request in the JSON encoding of OTLP. It is as
// charged as any Buffer, and as much the caller's to release.
func (b *Batch) JSON(ctx context.Context) (*Buffer, error) {
	buf, err := b.NewBuffer(ctx, jsonRatio*len(b.data))
	if err != nil {
		return nil, err
	}
	text, err := otlp.EncodeJSON(bufferMemory{ctx, buf}, b.signal, b.data)
	if err != nil {
		buf.Release()
		return nil, err
	}
	buf.Bytes = text
	return buf, nil
}

// bufferMemory lets a Buffer grow for a writer that holds its bytes.
type bufferMemory struct {
	ctx context.Context
	buf *Buffer
}

// Grow implements otlp.Memory.
func (m bufferMemory) Grow(b []byte, n int) ([]byte, error) {
	if b != nil {
		m.buf.Bytes = b
	}
	err := m.buf.Grow(m.ctx, n)
	return m.buf.Bytes, err
}
