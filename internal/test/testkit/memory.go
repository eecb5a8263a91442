package testkit

// ReusedMemory is an otlpedit.Memory that is used again for each request, as a pipeline's is.
// It has no limit.
type ReusedMemory struct{ buf []byte }

// Grow implements otlpedit.Memory.
func (r *ReusedMemory) Grow(b []byte, n int) ([]byte, error) {
	if b == nil {
		b = r.buf[:0]
	}
	if cap(b)-len(b) < n {
		b = append(make([]byte, 0, 2*(len(b)+n)), b...)
	}
	r.buf = b
	return b, nil
}

// Reserve implements otlpedit.Memory.
func (*ReusedMemory) Reserve(int) error { return nil }

// Err implements otlpedit.Memory.
func (*ReusedMemory) Err() error { return nil }
