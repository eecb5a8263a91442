package pipeline

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/penstock-telemetry/penstock/otlp"
)

// The Collector has a fan-out for each signal, and the same tests for each. Here
// is one fan-out: the same cases, over batches of each signal, twice each.
func TestFanoutOfEverySignal(t *testing.T) {
	const reads, mutates = false, true
	boom := errors.New("boom")
	tests := []struct {
		name      string
		consumers []bool // does it mutate?
		readOnly  bool   // is the batch shared already?
		fails     error  // of all
		wrapped   bool
		caps      bool
		granted   []bool // may it edit in place?
		shared    bool   // afterwards
	}{
		{name: "one reader", consumers: []bool{reads}, granted: []bool{true}},
		{name: "one mutator", consumers: []bool{mutates}, caps: true, granted: []bool{true}},
		{name: "readers", consumers: []bool{reads, reads, reads}, wrapped: true, granted: []bool{false, false, false}, shared: true},
		{name: "mutators", consumers: []bool{mutates, mutates, mutates}, wrapped: true, caps: true, granted: []bool{false, false, true}},
		{name: "mutators of a shared batch", consumers: []bool{mutates, mutates, mutates}, readOnly: true, wrapped: true, caps: true,
			granted: []bool{false, false, false}, shared: true},
		{name: "a mix, a mutator last", consumers: []bool{mutates, reads, mutates}, wrapped: true, granted: []bool{false, false, false}, shared: true},
		{name: "a mix, a reader last", consumers: []bool{mutates, mutates, reads}, wrapped: true, granted: []bool{false, false, false}, shared: true},
		{name: "errors", consumers: []bool{mutates, reads, mutates}, fails: boom, wrapped: true, granted: []bool{false, false, false}, shared: true},
	}
	for _, s := range otlp.Signals() {
		for _, tt := range tests {
			t.Run(s.String()+"/"+tt.name, func(t *testing.T) {
				var granted []bool
				var cs []Consumer
				for _, m := range tt.consumers {
					cs = append(cs, &fake{mutates: m, do: func(b *Batch) error {
						if b.Signal() != s {
							t.Errorf("a batch of %s", b.Signal())
						}
						_, err := b.Edit()
						granted = append(granted, err == nil)
						return tt.fails
					}})
				}
				f := Fanout(cs...)
				if wrapped := f != cs[0]; wrapped != tt.wrapped || f.Capabilities().MutatesData != tt.caps {
					t.Errorf("wrapped %v, mutates %v; want %v, %v", wrapped, f.Capabilities().MutatesData, tt.wrapped, tt.caps)
				}
				for range 2 {
					// One resource with a schema URL reads the same in all signals.
					batch, err := NewBatch(s, request(), nil)
					if err != nil {
						t.Fatal(err)
					}
					if tt.readOnly {
						batch.MarkShared()
					}
					granted = nil
					if err := f.Consume(t.Context(), batch); !errors.Is(err, tt.fails) || (err == nil) != (tt.fails == nil) {
						t.Errorf("got %v, want %v", err, tt.fails)
					}
					if !slices.Equal(granted, tt.granted) {
						t.Errorf("edits granted: %v, want %v", granted, tt.granted)
					}
					if batch.Shared() != tt.shared || !bytes.Equal(batch.Bytes(), request()) {
						t.Errorf("afterwards shared %v, want %v", batch.Shared(), tt.shared)
					}
					batch.Release()
				}
				for i, c := range cs {
					if seen := c.(*fake).seen; len(seen) != 2 || !bytes.Equal(seen[0], request()) || !bytes.Equal(seen[1], request()) {
						t.Errorf("consumer %d saw %d batches, or other bytes", i, len(seen))
					}
				}
			})
		}
	}
}
