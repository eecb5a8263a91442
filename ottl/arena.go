package ottl

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

const (
	firstArenaBytes = 512
	// keptArenaBytes is how much memory an arena keeps for the next request, and takes
	// without a reservation.
	keptArenaBytes = 64 << 10
)

// arena is memory for the bytes of values that are made for one message. What lies in it
// is valid until reset.
type arena struct {
	mem otlpedit.Memory
	enc wire.Encoder
	err error // there is no memory for more
}

func (a *arena) reset() { a.enc.Buf = a.enc.Buf[:0] }

// forget ends the use of a request's memory.
func (a *arena) forget() {
	if a.mem, a.err = nil, nil; cap(a.enc.Buf) > keptArenaBytes {
		a.enc.Buf = nil
	}
}

// room returns an encoder that may append n bytes to those before it, and where they will
// begin; nil if there is no memory for them. The memory before may be another one.
func (a *arena) room(n int) (enc *wire.Encoder, mark int) {
	if cap(a.enc.Buf)-len(a.enc.Buf) < n && !a.grow(n) {
		return nil, 0
	}
	return &a.enc, len(a.enc.Buf)
}

// grow begins a new piece of memory. Values that lie in the one before keep it alive.
func (a *arena) grow(n int) bool {
	size := max(n, 2*cap(a.enc.Buf), firstArenaBytes)
	if a.err == nil && a.mem != nil && size > keptArenaBytes {
		a.err = a.mem.Reserve(size)
	}
	if a.err != nil {
		return false
	}
	a.enc.Buf = make([]byte, 0, size)
	return true
}

// since returns what was appended since mark.
func (a *arena) since(mark int) []byte {
	b := a.enc.Buf[mark:]
	return b[:len(b):len(b)]
}

// copy returns a copy of b.
func (a *arena) copy(b []byte) []byte {
	enc, mark := a.room(len(b))
	if enc == nil {
		return nil
	}
	enc.Raw(b)
	return a.since(mark)
}
