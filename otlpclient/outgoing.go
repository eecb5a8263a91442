package otlpclient

import (
	"runtime"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// doneOnce calls a request's Done, at the first call of end.
type doneOnce struct {
	done  func()
	ended atomic.Bool
}

func (d *doneOnce) end() {
	if d.ended.CompareAndSwap(false, true) && d.done != nil {
		d.done()
	}
}

// outgoing is a request that is sent over gRPC. For gRPC it is the pool to which the
// bytes return when gRPC's last reader is done with them.
//
// gRPC may read the bytes after Invoke has returned: if the caller gives up, gRPC's
// writer goroutine goes on with the message until it learns of it. If the bytes were
// reused by then, the destination could get the beginning of one request and the end of
// another.
type outgoing struct {
	bytes     []byte
	done      *doneOnce
	marshaled bool
}

// Get implements mem.BufferPool; gRPC takes nothing from here.
func (*outgoing) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (o *outgoing) Put(*[]byte) { o.done.end() }

// buffers returns the bytes for gRPC to read.
func (o *outgoing) buffers() mem.BufferSlice {
	o.marshaled = true
	if mem.IsBelowBufferPoolingThreshold(cap(o.bytes)) { // gRPC would not count the readers
		b := append([]byte(nil), o.bytes...)
		o.done.end()
		return mem.BufferSlice{mem.SliceBuffer(b)}
	}
	return mem.BufferSlice{mem.NewBuffer(&o.bytes, o)}
}

// returned is called when Invoke has returned.
func (o *outgoing) returned() {
	switch {
	case !o.marshaled:
		o.done.end()
	case !o.done.ended.Load():
		// gRPC does not return what it had not sent when a connection broke. Then
		// only the garbage collector knows that nothing reads the bytes any more.
		runtime.AddCleanup(o, (*doneOnce).end, o.done)
	}
}
