package compress

import (
	"context"
	"runtime"
)

// Grow returns dst with room for n bytes more. The result may be other memory, with the
// contents of dst; dst is not used then. nil is an empty dst.
type Grow func(dst []byte, n int) ([]byte, error)

// minBuffer is the minimum capacity of an output buffer.
const minBuffer = 4 << 10

// output is a writer to memory of a Grow.
type output struct {
	b    []byte
	grow Grow
}

// newOutput returns an output for n compressed bytes.
func newOutput(grow Grow, n int) (*output, error) {
	b, err := grow(nil, max(n/4, minBuffer))
	return &output{b, grow}, err
}

// Write implements io.Writer.
func (w *output) Write(p []byte) (int, error) {
	if cap(w.b)-len(w.b) < len(p) {
		b, err := w.grow(w.b, len(p))
		if err != nil {
			return 0, err
		}
		w.b = b
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

// slots limit how many requests are compressed at a time to the number of CPUs.
type slots chan struct{}

func newSlots() slots { return make(slots, runtime.GOMAXPROCS(0)) }

func (s slots) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	default:
	}
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s slots) release() { <-s }
