package otlpclient

import (
	"fmt"

	"google.golang.org/grpc/mem"
)

// rawCodec passes requests and answers through as bytes. It calls itself proto,
// which is what they are, so that the content type is the usual one.
type rawCodec struct{}

// Name implements encoding.CodecV2.
func (rawCodec) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	o, ok := v.(*outgoing)
	if !ok {
		return nil, fmt.Errorf("otlpclient sends *outgoing, not %T", v)
	}
	return o.buffers(), nil
}

// Unmarshal implements encoding.CodecV2. The answer is small; it is copied.
func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	body, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("otlpclient receives *[]byte, not %T", v)
	}
	*body = data.Materialize()
	return nil
}
