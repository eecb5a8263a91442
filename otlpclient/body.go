package otlpclient

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/penstock-telemetry/penstock/pipeline"
)

// payload is what one HTTP exchange sends, with a count of its readers: the exchange
// itself, and every body made of it. net/http closes each
// body, but may do so after it has answered, and while another goroutine is in
// Read; it asks for a further body to send the same again on a new connection
// where the destination has not seen the first.
type payload struct {
	bytes    []byte
	encoding string // the Content-Encoding, "" for none
	own      bool   // bytes are a copy that the collector frees
	refs     atomic.Int32
	release  func()
}

// ownBytes is the size up to which a payload is copied. net/http sends a body of
// a type that it knows in one write with the headers. For a body of another type it
// writes the headers separately: one more packet, and one more write that can fail on
// a connection that the server is closing. The copy is charged until the exchange is over.
const ownBytes = 32 << 10

// newPayload returns the payload of b in an encoding. It owns b until it calls release. An error means that there is no room for a
// copy that is to be charged to batch; release is the caller's to call then.
func newPayload(ctx context.Context, batch *pipeline.Batch, b []byte, encoding string, release func()) (*payload, error) {
	p := &payload{bytes: b, encoding: encoding, release: release}
	p.refs.Store(1)
	if len(b) > ownBytes {
		return p, nil
	}
	if batch != nil {
		if err := batch.Charge(ctx, len(b)); err != nil {
			return nil, err
		}
		p.release = func() { batch.Discharge(len(b)); release() }
	}
	p.bytes, p.own = bytes.Clone(b), true
	return p, nil
}

func (p *payload) unref() {
	if p.refs.Add(-1) == 0 {
		p.release()
	}
}

// body returns a new reader of the whole payload. The caller must hold a reference.
func (p *payload) body() io.ReadCloser {
	if p.own {
		return io.NopCloser(bytes.NewReader(p.bytes))
	}
	p.refs.Add(1)
	return &body{of: p, rest: p.bytes}
}

type body struct {
	mu   sync.Mutex
	of   *payload // nil once closed
	rest []byte
}

func (b *body) Read(dst []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.of == nil:
		return 0, http.ErrBodyReadAfterClose
	case len(b.rest) == 0:
		return 0, io.EOF
	}
	n := copy(dst, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// Close waits for a concurrent Read. After it the bytes are not read.
func (b *body) Close() error {
	b.mu.Lock()
	of := b.of
	b.of, b.rest = nil, nil
	b.mu.Unlock()
	if of != nil {
		of.unref()
	}
	return nil
}
