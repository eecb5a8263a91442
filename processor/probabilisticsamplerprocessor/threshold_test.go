package probabilisticsamplerprocessor

import (
	"math/rand/v2"
	"testing"
)

// The examples of the specification, and what the Collector computes.
func TestThresholds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		ratio  float64
		digits int
		want   string
	}{
		{1, 4, "0"}, {0.5, 4, "8"}, {0.25, 4, "c"}, {1.0 / 3, 4, "aaab"}, {0.01, 4, "fd70a"}, {0.001, 4, "ffbe77"},
		{0.99, 4, "028f6"}, {2.0 / 3, 14, "55555555555558"}, {1.0 / 3, 1, "b"}, {minRatio, 4, "ffffffffffffff"},
	} {
		threshold, ok := thresholdOf(c.ratio, c.digits)
		if got := string(appendThreshold(nil, threshold)); !ok || got != c.want {
			t.Errorf("%v with %d digits: %s, expected %s", c.ratio, c.digits, got, c.want)
		}
	}
	for _, ratio := range []float64{0, -1, 1.5, minRatio / 2} {
		if _, ok := thresholdOf(ratio, 4); ok {
			t.Errorf("%v has a threshold", ratio)
		}
	}
	if hashThreshold(100) != always || hashThreshold(0.001) != never || hashThreshold(50) != never/2 {
		t.Errorf("%x %x %x", hashThreshold(100), hashThreshold(0.001), hashThreshold(50))
	}
}

func TestHexIsReadAsItIsWritten(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		v := r.Uint64() % never >> r.IntN(50) << r.IntN(8) % never
		if got, ok := parseThreshold(appendThreshold(nil, v%never)); !ok || got != v%never {
			t.Fatalf("%x: %x", v, got)
		}
		if got, ok := parseRandomness(appendRandomness(nil, v%never)); !ok || got != v%never {
			t.Fatalf("%x: %x", v, got)
		}
	}
	for _, text := range []string{"", "g", "0123456789abcde", "-1", " 1"} {
		if _, ok := parseThreshold([]byte(text)); ok {
			t.Errorf("%q is a threshold", text)
		}
	}
}

// A share of random ids is passed on that is near to the percentage, and the same ids
// are in larger shares.
func TestShares(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const n = 100_000
	for _, percentage := range []float32{1, 10, 33, 90} {
		hash, plain := 0, 0
		threshold, _ := thresholdOf(float64(percentage)/100, 4)
		for range n {
			id := make([]byte, 16)
			for i := range id {
				id[i] = byte(r.Uint32())
			}
			if hashThreshold(percentage) <= hashRandomness(id, 7) {
				hash++
			}
			if threshold <= traceIDRandomness(id) {
				plain++
			}
		}
		for _, got := range []int{hash, plain} {
			if share := 100 * float64(got) / n; share < 0.9*float64(percentage) || share > 1.1*float64(percentage) {
				t.Errorf("%v%%: %v%%", percentage, share)
			}
		}
	}
}
