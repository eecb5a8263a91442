package reporter

import (
	"slices"
	"testing"
)

// FuzzRing compares a ring with a slice that is cut at its front. Each byte of
// script is a push, or for a multiple of 16 a drain.
func FuzzRing(f *testing.F) {
	f.Add(uint8(1), []byte{1, 2, 0, 3})
	f.Add(uint8(3), []byte{1, 2, 3, 4, 5, 0, 6, 7, 16, 8, 9, 10, 11, 12})
	f.Add(uint8(40), slices.Concat(slices.Repeat([]byte{1}, 33), []byte{0}, slices.Repeat([]byte{2}, 90)))
	f.Fuzz(func(t *testing.T, size uint8, script []byte) {
		r := ring[int]{max: int(size) + 1}
		var model []int
		for i, op := range script {
			if op%16 == 0 {
				if got := r.drain(); !slices.Equal(got, model) {
					t.Fatalf("step %d: drained %v, want %v", i, got, model)
				}
				model = nil
				continue
			}
			model = append(model, i)
			over := len(model) > r.max
			if over {
				model = model[1:]
			}
			if got := r.push(i); got != over {
				t.Fatalf("step %d: push overwrote: %v, want %v", i, got, over)
			}
			if r.n != len(model) || len(r.items) > r.max {
				t.Fatalf("step %d: %d entries in room for %d, want %d in at most %d", i, r.n, len(r.items), len(model), r.max)
			}
		}
		if got := r.drain(); !slices.Equal(got, model) {
			t.Fatalf("in the end: drained %v, want %v", got, model)
		}
	})
}

// A drained ring holds on to nothing.
func TestRingLetsGo(t *testing.T) {
	r := ring[*int]{max: 3}
	for i := range 5 {
		r.push(&i)
	}
	r.drain()
	for i, p := range r.items {
		if p != nil {
			t.Errorf("slot %d still points at %d", i, *p)
		}
	}
}
