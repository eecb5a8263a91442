package frontend

import (
	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/decompress"
	"github.com/penstock-telemetry/penstock/pipeline"
)

// encoded is the compressed body of a request, which its batch will have beside its bytes.
type encoded struct {
	mem    *[]byte // of bufpool; nil: none
	codec  pipeline.Codec
	single bool
}

// KeepEncoded makes the compressed body part of the batch if a consumer can use its form and
// it is shorter than the n bytes that it was decompressed to. wire is a buffer of bufpool
// that belongs to the request from the call on; nil means that it was not compressed.
func (r *Request) KeepEncoded(wire *[]byte, form decompress.Form, n int) {
	codec := pipeline.CodecNamed(string(form.Format))
	if wire == nil || r.Format != "protobuf" || len(*wire) >= n || r.next == nil ||
		!r.next.Capabilities().CanUse(pipeline.Encoded{Codec: codec, Single: form.Single}) {
		bufpool.Put(wire)
		return
	}
	r.encoded = encoded{wire, codec, form.Single}
}

// bytes returns the size of the memory.
func (e *encoded) bytes() int {
	if e.mem == nil {
		return 0
	}
	return cap(*e.mem)
}

// drop gives the memory back.
func (e *encoded) drop() {
	bufpool.Put(e.mem)
	e.mem = nil
}

// attach gives the memory to the batch.
func (e *encoded) attach(b *pipeline.Batch) {
	if e.mem == nil {
		return
	}
	buf := pipeline.BufferOf(e.mem)
	defer buf.Release()
	e.mem = nil
	b.AttachEncoded(buf, e.codec, e.single)
}
