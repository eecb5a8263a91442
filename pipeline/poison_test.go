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

// A component that writes to bytes without Edit would make an exporter send the compressed
// bytes of before.
func TestStaleEncodedBytesPanic(t *testing.T) {
	for name, use := range map[string]func(b *Batch){
		"as they came": func(b *Batch) { b.Encoded() },
		"made":         func(b *Batch) { new(encoder).encode(t, b) },
	} {
		t.Run(name, func(t *testing.T) {
			b := attached(t, newBudget())
			defer b.Release()
			new(encoder).encode(t, b)
			b.Bytes()[len(b.Bytes())-1]++
			defer func() {
				if recover() == nil {
					t.Error("stale compressed bytes were handed out")
				}
			}()
			use(b)
		})
	}
}
