package pipeline

import (
	"context"
	"fmt"

	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// jsonRatio is an estimate of the size of JSON relative to protobuf.
	jsonRatio = 3
	// largeJSONBytes is the size from which a text begins small and grows by a quarter:
	// while it moves it is charged twice, which a request of tens of MiB might have no
	// room for.
	largeJSONBytes = 16 << 20
)

// JSON returns a buffer with the request in the JSON encoding of OTLP. It is as
// charged as any Buffer, and as much the caller's to release.
func (b *Batch) JSON(ctx context.Context) (*Buffer, error) {
	size := jsonRatio * len(b.data)
	if size > largeJSONBytes {
		size = max(largeJSONBytes, size/2)
	}
	buf, err := b.NewBuffer(ctx, size)
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
	if m.ctx.Err() != nil {
		return nil, fmt.Errorf("write JSON: %w", context.Cause(m.ctx))
	}
	if used := len(m.buf.Bytes); used >= largeJSONBytes/2 {
		err := m.buf.replace(m.ctx, used+max(n, used/4))
		return m.buf.Bytes, err
	}
	err := m.buf.Grow(m.ctx, n)
	return m.buf.Bytes, err
}
