package profile

import (
	"sync"
	"unsafe"

	"github.com/penstock-telemetry/penstock/libpf"
)

// frameBytes tells what frames take that a window keeps alive: it may be the only
// one that still holds them. Each counts once for a window.
type frameBytes struct {
	mu   sync.Mutex
	seen frameMap
}

// internedBytes is what an interned frame takes beside its texts: the value, the
// table of package unique, and its place in seen.
const internedBytes = int(unsafe.Sizeof(libpf.Frame{})) + 160

// add returns what those frames take that were not in the window before.
func (b *frameBytes) add(frames libpf.Frames) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range frames {
		if f == (frame{}) {
			continue
		}
		if _, ok := b.seen.get(f); ok {
			continue
		}
		b.seen.put(f, 0)
		v := f.Value()
		n += internedBytes + len(v.FunctionName) + len(v.SystemName) + len(v.SourceFile) + len(v.Attributes)
	}
	return n
}

// reset begins a window.
func (b *frameBytes) reset() {
	b.mu.Lock()
	b.seen = frameMap{}
	b.mu.Unlock()
}
