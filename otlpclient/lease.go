package otlpclient

import (
	"runtime"
	"sync/atomic"

	"google.golang.org/grpc/mem"
)

// lease is the loan of a request's bytes. It ends once, at the first of what
// ends it.
type lease struct {
	done  func()
	ended atomic.Bool
}

func (l *lease) end() {
	if l.ended.CompareAndSwap(false, true) && l.done != nil {
		l.done()
	}
}

// outgoing is a request on its way through gRPC. It plays the pool that gRPC
// gives the bytes back to when its last reader is done.
//
// gRPC may hold the bytes beyond Invoke: its writer goroutine sends what is left
// of a message whose caller has gone, until it hears of that. Were they reused
// by then, the destination could get one request's head with another's tail.
type outgoing struct {
	bytes     []byte
	lease     *lease
	marshaled bool
}

// Get implements mem.BufferPool; gRPC takes nothing from here.
func (*outgoing) Get(n int) *[]byte {
	b := make([]byte, n)
	return &b
}

// Put implements mem.BufferPool.
func (o *outgoing) Put(*[]byte) { o.lease.end() }

// buffers lends the bytes to gRPC.
func (o *outgoing) buffers() mem.BufferSlice {
	o.marshaled = true
	if mem.IsBelowBufferPoolingThreshold(cap(o.bytes)) { // gRPC would not count the readers
		b := append([]byte(nil), o.bytes...)
		o.lease.end()
		return mem.BufferSlice{mem.SliceBuffer(b)}
	}
	return mem.BufferSlice{mem.NewBuffer(&o.bytes, o)}
}

// returned is called when Invoke has returned.
func (o *outgoing) returned() {
	switch {
	case !o.marshaled:
		o.lease.end()
	case !o.lease.ended.Load():
		// gRPC forgets to give back what it had not sent when a connection
		// broke. Then nothing but the garbage collector knows that it is done.
		runtime.AddCleanup(o, (*lease).end, o.lease)
	}
}
