package grpcserver

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// leastWindowBytes is what a client must let us send at any time, on the
	// connection and on each of its streams. All our answers are shorter.
	leastWindowBytes = 2 << 10
)

// sendWindow follows how much a client lets us send (RFC 9113, section 5.2). A
// client that closes its windows and goes on asking makes answers pile up, which
// gRPC keeps without a bound in time.
type sendWindow struct {
	cutOff     func()        // ends the connection
	stalledFor time.Duration // that a client may let us send less, before that

	in, out frames

	mu      sync.Mutex
	credit  int64 // of the connection, in bytes
	initial int64 // of each new stream
	stalled *time.Timer
	tight   bool
	stopped bool
}

func newSendWindow(cutOff func(), stalledFor time.Duration) *sendWindow {
	const initial = 65535 // RFC 9113, section 6.9.2
	return &sendWindow{cutOff: cutOff, stalledFor: stalledFor, credit: initial, initial: initial}
}

// received takes everything that the client sent after its preface, in order. One
// goroutine calls it.
func (w *sendWindow) received(p []byte) {
	for len(p) > 0 {
		var unit []byte
		if unit, p = w.in.next(p); unit == nil {
			continue
		}
		switch w.in.kind {
		case http2.FrameSettings:
			if http2.SettingID(binary.BigEndian.Uint16(unit)) == http2.SettingInitialWindowSize {
				w.update(func() { w.initial = int64(binary.BigEndian.Uint32(unit[2:])) })
			}
		case http2.FrameWindowUpdate:
			if w.in.stream == 0 {
				w.update(func() { w.credit += int64(binary.BigEndian.Uint32(unit) &^ (1 << 31)) })
			}
		}
	}
}

// sent takes everything that goes to the client, in order. One goroutine calls it.
func (w *sendWindow) sent(p []byte) {
	for len(p) > 0 {
		_, p = w.out.next(p)
		if w.out.whole && w.out.kind == http2.FrameData && w.out.length > 0 {
			w.update(func() { w.credit -= int64(w.out.length) })
		}
	}
}

// update changes the windows by f and starts or stops the clock.
func (w *sendWindow) update(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	tight := w.credit < leastWindowBytes || w.initial < leastWindowBytes
	switch {
	case tight == w.tight || w.stopped:
	case !tight:
		w.stalled.Stop()
	case w.stalled == nil:
		w.stalled = time.AfterFunc(w.stalledFor, w.cutOff)
	default:
		w.stalled.Reset(w.stalledFor)
	}
	w.tight = tight
}

// stop stops the clock when the connection is closed.
func (w *sendWindow) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.stalled != nil {
		w.stalled.Stop()
	}
}

// frames takes a byte stream apart into HTTP/2 frames, keeping no more of it than
// a header or one setting.
type frames struct {
	skip int     // bytes to pass over
	left int     // bytes of the payload that are still to be kept, in units
	acc  [9]byte // a header, or a unit of the payload
	n    int     // bytes in acc

	// Of the frame whose header came last.
	kind   http2.FrameType
	length int
	stream uint32
	whole  bool // next returned because of it
}

// next takes what it can of p and returns the rest. unit is one setting, one
// increment, or nil.
func (f *frames) next(p []byte) (unit, rest []byte) {
	f.whole = false
	if f.skip > 0 {
		n := min(f.skip, len(p))
		f.skip -= n
		return nil, p[n:]
	}
	need := len(f.acc)
	if f.left > 0 {
		need = f.unit()
	}
	got := copy(f.acc[f.n:need], p)
	if f.n += got; f.n < need {
		return nil, p[got:]
	}
	f.n = 0
	if f.left > 0 {
		f.left -= need
		if f.left < need {
			f.skip, f.left = f.left, 0 // a broken frame: gRPC will say so
		}
		return f.acc[:need], p[got:]
	}
	f.begin()
	return nil, p[got:]
}

// unit is the size of what a frame's payload consists of, if that is kept.
func (f *frames) unit() int {
	if f.kind == http2.FrameSettings {
		return 6
	}
	return 4
}

// begin reads a frame's header from acc (RFC 9113, section 4.1).
func (f *frames) begin() {
	f.length = int(f.acc[0])<<16 | int(f.acc[1])<<8 | int(f.acc[2])
	f.kind = http2.FrameType(f.acc[3])
	f.stream = binary.BigEndian.Uint32(f.acc[5:]) &^ (1 << 31)
	f.whole = true
	if (f.kind == http2.FrameSettings || f.kind == http2.FrameWindowUpdate) && f.length >= f.unit() {
		f.left = f.length
	} else {
		f.skip = f.length
	}
}
