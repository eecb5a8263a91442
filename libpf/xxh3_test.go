package libpf

import (
	"math/rand/v2"
	"testing"

	oracle "github.com/zeebo/xxh3"
)

func TestXXH3(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		b := make([]byte, 17+r.IntN(16))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		if got, want := xxh3(b), oracle.Hash(b); got != want {
			t.Fatalf("%x: %#x, want %#x", b, got, want)
		}
	}
}
