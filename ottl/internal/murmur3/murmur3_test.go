package murmur3

import "testing"

// TestSums has the sums of the reference implementation.
func TestSums(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text   string
		sum    uint32
		h1, h2 uint64
	}{} {
		if got := Sum32([]byte(c.text)); got != c.sum {
			t.Errorf("Sum32(%q) = %#x, want %#x", c.text, got, c.sum)
		}
		if h1, h2 := Sum128([]byte(c.text)); h1 != c.h1 || h2 != c.h2 {
			t.Errorf("Sum128(%q) = %#x %#x, want %#x %#x", c.text, h1, h2, c.h1, c.h2)
		}
	}
}
