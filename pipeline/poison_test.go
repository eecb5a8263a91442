//go:build poison

package pipeline

import (
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// What was read from a batch is unreadable once it is released.
func TestUseAfterReleaseShowsPoison(t *testing.T) {
	buf := NewBuffer(len(request()))
	defer buf.Release()
	buf.Bytes = append(buf.Bytes, request()...)
	b, err := NewPooledBatch(otlp.Traces, buf, nil)
	if err != nil {
		t.Fatal(err)
	}
	view := b.Bytes()
	b.Release()
	for _, c := range view {
		if c != 0xDB {
			t.Fatalf("bytes of a released batch are still readable: %q", view)
		}
	}
}

func TestDerivePanicsOnAFalseCount(t *testing.T) {
	b := newTestBatch(t)
	defer b.Release()
	defer func() {
		if recover() == nil {
			t.Error("a false count went through")
		}
	}()
	buf := NewBuffer(0)
	defer buf.Release()
	b.Derive(buf, 3)
}
