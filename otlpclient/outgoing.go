package otlpclient

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"
	"weak"

	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/peer"
)

// lease is the right of a transport to read the bytes of one request.
type lease struct {
	done  func() // nil: nothing
	ended atomic.Bool

	// conns are the connections that gRPC used for the request, mostly one. held is set
	// when Send has returned; then they do not change.
	conns [1]*conn
	more  []*conn
	held  atomic.Bool
	open  atomic.Int32 // of these, not ended
}

// end calls done, the first time.
func (l *lease) end() {
	if !l.ended.CompareAndSwap(false, true) {
		return
	}
	if l.held.Load() {
		for c := range l.used {
			c.drop(l)
		}
	}
	if l.done != nil {
		l.done()
	}
}

// used is an iterator over the connections.
func (l *lease) used(yield func(*conn) bool) {
	if l.conns[0] == nil || !yield(l.conns[0]) {
		return
	}
	for _, c := range l.more {
		if !yield(c) {
			return
		}
	}
}

func (l *lease) use(c *conn) {
	if l.conns[0] == nil {
		l.conns[0] = c
		return
	}
	l.more = append(l.more, c)
}

// hold makes the connections end the lease: when the last of them has ended, nothing
// reads the bytes any more.
func (l *lease) hold() {
	n := int32(0)
	for range l.used {
		n++
	}
	l.open.Store(n)
	l.held.Store(true)
	now := time.Now()
	for c := range l.used {
		if !c.hold(l, now) {
			l.connEnded()
		}
	}
}

func (l *lease) connEnded() {
	if l.open.Add(-1) == 0 {
		l.end()
	}
}

// outgoing is a request that is sent over gRPC. For gRPC it is the pool to which the
// bytes return when gRPC's last reader is done with them.
//
// gRPC may read the bytes after Invoke has returned: if the caller gives up, gRPC's
// writer goroutine goes on with the message until it learns of it. If the bytes were
// reused by then, the destination could get the beginning of one request and the end of
// another. And gRPC does not return what it had not sent when a connection broke, so the
// connections end the lease too (conn.end).
type outgoing struct {
	bytes     []byte
	plain     int                  // length of the request; bytes may be compressed
	frames    *compressed          // nil: bytes are not compressed
	key       weak.Pointer[[]byte] // of bytes, in frames
	lease     *lease
	marshaled bool
}

// GetRequestMetadata implements credentials.PerRPCCredentials. gRPC calls it each time
// before it gives the request to a connection, which is noted. It adds nothing.
func (o *outgoing) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	if p, ok := peer.FromContext(ctx); ok {
		if addr, ok := p.Addr.(connAddr); ok {
			o.lease.use(addr.conn)
		}
	}
	return nil, nil
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (*outgoing) RequireTransportSecurity() bool { return false }

// Get implements mem.BufferPool; gRPC takes nothing from here.
func (*outgoing) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (o *outgoing) Put(*[]byte) { o.lease.end() }

// buffers returns the bytes for gRPC to read.
func (o *outgoing) buffers() mem.BufferSlice {
	o.marshaled = true
	switch {
	case o.frames != nil:
		return o.frames.announce(o)
	case mem.IsBelowBufferPoolingThreshold(cap(o.bytes)): // gRPC would not count the readers
		b := append([]byte(nil), o.bytes...)
		o.lease.end()
		return mem.BufferSlice{mem.SliceBuffer(b)}
	}
	return mem.BufferSlice{mem.NewBuffer(&o.bytes, o)}
}

// returned is called when Invoke has returned. It reports whether gRPC may still read
// the bytes.
func (o *outgoing) returned() bool {
	l := o.lease
	switch {
	case !o.marshaled:
		l.end()
	case !l.ended.Load():
		l.hold()
	}
	if l.ended.Load() {
		return false
	}
	// gRPC drops some messages without returning them, such as that of a request which
	// meets a GOAWAY. Only the garbage collector knows about those.
	runtime.AddCleanup(o, (*lease).end, l)
	return true
}
