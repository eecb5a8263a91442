package join

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// All methods from eight goroutines, with evictions (go test -race).
func TestConcurrent(t *testing.T) {
	t.Parallel()
	const maxBytes = 60_000
	j := New(Config{MaxBytes: maxBytes})
	var wg sync.WaitGroup
	for g := range uint64(8) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(g, g))
			for range 5000 {
				step(j, r)
				if n := j.Bytes(); n > maxBytes {
					t.Errorf("%d bytes of at most %d", n, maxBytes)
				}
				// What was given out is read while others report.
				frames, _ := j.Resolve(anyHash(r))
				for _, f := range frames {
					if !slices.Contains(types, f.Value().Type) {
						t.Error("a type nobody reported")
					}
				}
				j.Evicted()
			}
		})
	}
	wg.Wait()
	verify(t, j)
	if e := j.Evicted(); e.Traces == 0 || e.Frames == 0 {
		t.Errorf("nothing was evicted: %+v", e)
	}
}
