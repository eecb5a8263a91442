package bufpool

import "testing"

func TestGetHasLengthAndClassCapacity(t *testing.T) {
	for _, n := range []int{0, 1, 255, 256, 257, 4096, 1<<20 + 1, 1<<24 - 1, 1 << 24, 1<<24 + 1} {
		p := Get(n)
		if len(*p) != n || cap(*p) < n {
			t.Errorf("Get(%d): len %d cap %d", n, len(*p), cap(*p))
		}
		Put(p)
	}
}

// A buffer whose capacity is not a power of two only serves the class below.
func TestPutOddCapacityNeverReturnsTooSmall(t *testing.T) {
	for range 100 {
		odd := make([]byte, 300)
		Put(&odd)
		if p := Get(400); cap(*p) < 400 {
			t.Fatalf("got %d bytes for 400", cap(*p))
		}
	}
}

func TestGrowKeepsContents(t *testing.T) {
	p := Get(5)
	copy(*p, "hello")
	p = Grow(p, 1<<16)
	if string(*p) != "hello" || cap(*p) < 5+1<<16 {
		t.Fatalf("got %q with capacity %d", *p, cap(*p))
	}
	q := Grow(p, 10)
	if q != p {
		t.Error("Grow moved a buffer with enough capacity")
	}
}

// Class is the capacity of a new buffer.
func TestClassIsTheCapacityOfAFreshBuffer(t *testing.T) {
	for _, n := range []int{0, 1, 256, 257, 1 << 20, 1<<20 + 1, 1 << 24, 1<<24 + 1, 64 << 20} {
		p := Get(n)
		if got := Class(n); got != cap(*p) && (n > 1<<maxClass || cap(*p) < got) {
			t.Errorf("Class(%d) = %d, a new buffer has %d", n, got, cap(*p))
		}
		if Class(n) < n || Class(n) > max(2*n, 1<<minClass) {
			t.Errorf("Class(%d) = %d", n, Class(n))
		}
	}
}
