package resourceprocessor

import (
	"encoding/binary"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/bufpool"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
)

const (
	// maxGrowthBytes is how much larger than it came a request may become. A
	// resource takes two bytes at least, and each may be given all that the
	// configuration inserts.
	maxGrowthBytes = 64 << 20
	// maxFieldHeadBytes is room for the tag and the length of one message.
	maxFieldHeadBytes = 16
	// maxKeptBytes is how large a working buffer may be to be kept for the next
	// request.
	maxKeptBytes = 64 << 10
)

// rewriter rewrites one request at a time. It holds the buffers that are reused
// from request to request.
type rewriter struct {
	strings  stringTable
	editor   editor
	resource wire.Encoder // the edited resource

	request []byte
	out     *[]byte // lent by bufpool; nil as long as nothing changed
	copied  int     // how far request has been dealt with
}

func newRewriter(p *plan) *rewriter {
	w := &rewriter{}
	w.editor = editor{plan: p, strings: &w.strings, seen: make([]int, len(p.names))}
	return w
}

// rewrite returns the edited request in a buffer of the caller's, or nil if
// nothing changes.
func (w *rewriter) rewrite(s otlp.Signal, request []byte) (*[]byte, error) {
	defer w.forget()
	w.request, w.copied = request, 0
	w.strings.request, w.strings.present = request, s.Spec().HasDictionary
	for c := (wire.Cursor{Buf: request}); c.Next(); {
		if c.Num != otlp.FieldResources || c.Type != wire.TypeBytes {
			continue
		}
		if err := w.resourceX(&c); err != nil {
			bufpool.Put(w.out)
			return nil, err
		}
	}
	if w.out != nil {
		w.reserve(len(request) - w.copied)
		*w.out = append(*w.out, request[w.copied:]...)
	}
	return w.out, nil
}

// resourceX edits the ResourceX that c stands on.
func (w *rewriter) resourceX(c *wire.Cursor) error {
	resource, cut := findResource(c.Bytes)
	if !w.editor.edit(resource) {
		return nil
	}
	w.resource.Buf = w.resource.Buf[:0]
	w.editor.appendTo(&w.resource)

	size := len(c.Bytes) - cut + 1 + wire.SizeVarint(uint64(len(w.resource.Buf))) + len(w.resource.Buf)
	written := c.Start - w.copied + size
	if w.out != nil {
		written += len(*w.out)
	}
	if written-c.End > maxGrowthBytes {
		return fmt.Errorf("the new attributes make a request of %d bytes more than %d bytes larger", len(w.request), maxGrowthBytes)
	}
	w.reserve(c.Start - w.copied + maxFieldHeadBytes + size)
	out := append(*w.out, w.request[w.copied:c.Start]...)
	out = wire.AppendTag(out, otlp.FieldResources, wire.TypeBytes)
	out = binary.AppendUvarint(out, uint64(size))
	*w.out = appendWithResource(out, c.Bytes, w.resource.Buf)
	w.copied = c.End
	return nil
}

func isResource(c *wire.Cursor) bool { return c.Num == otlp.FieldResource && c.Type == wire.TypeBytes }

// findResource returns the resource of a ResourceX, nil if there is none, and
// how many bytes its field takes. In several parts it is their merger.
func findResource(resourceX []byte) (resource []byte, size int) {
	for c := (wire.Cursor{Buf: resourceX}); c.Next(); {
		if isResource(&c) {
			resource = wire.Merge(resource, c.Bytes)
			size += c.End - c.Start
		}
	}
	return resource, size
}

// appendWithResource writes the fields of a ResourceX with another resource: in
// the old one's place, or first if there was none. Further parts of the old one
// are left out, since the new one contains them.
func appendWithResource(dst, resourceX, resource []byte) []byte {
	at := wire.Cursor{Buf: resourceX}
	for at.Next() && !isResource(&at) {
	}
	copied := 0
	if isResource(&at) {
		copied = at.Start
	}
	dst = append(dst, resourceX[:copied]...)
	dst = wire.AppendBytes(dst, otlp.FieldResource, resource)
	for c := (wire.Cursor{Buf: resourceX}); c.Next(); {
		if isResource(&c) {
			dst = append(dst, resourceX[copied:c.Start]...)
			copied = c.End
		}
	}
	return append(dst, resourceX[copied:]...)
}

// reserve makes room for n more bytes in out.
func (w *rewriter) reserve(n int) {
	if w.out == nil {
		// Most requests hold few resources, and most resources grow little.
		w.out = bufpool.Get(max(n, len(w.request)+len(w.resource.Buf)+maxFieldHeadBytes))
		*w.out = (*w.out)[:0]
		return
	}
	w.out = bufpool.Grow(w.out, n)
}

// forget lets go of everything that belongs to the request.
func (w *rewriter) forget() {
	w.request, w.out = nil, nil
	w.editor.resource = nil
	clear(w.editor.records[:cap(w.editor.records)])
	w.strings = stringTable{at: w.strings.at[:0]}
	if 4*cap(w.strings.at) > maxKeptBytes {
		w.strings.at = nil
	}
	if cap(w.resource.Buf) > maxKeptBytes {
		w.resource.Buf = nil
	}
}
