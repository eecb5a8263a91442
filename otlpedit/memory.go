package otlpedit

import "slices"

// Memory is where a Pass writes the edited request.
type Memory interface {
	// Grow returns b, moved if need be, with room for n more bytes. The first time
	// b is nil. An error ends the pass and is returned by it.
	Grow(b []byte, n int) ([]byte, error)
}

// Heap is memory that the garbage collector frees.
type Heap struct{}

// Grow is slices.Grow.
func (Heap) Grow(b []byte, n int) ([]byte, error) { return slices.Grow(b, n), nil }
