package otlpedit

import "slices"

// Memory is where a Pass writes the edited request.
type Memory interface {
	// Grow returns b, moved if need be, with room for n more bytes. The first time
	// b is nil. An error ends the pass and is returned by it.
	Grow(b []byte, n int) ([]byte, error)
	// Reserve is called before the pass allocates n bytes of working memory for this
	// request: an index over its strings, or a message that is being edited. At the
	// end of the pass it is garbage. Small working memory, which is kept from request
	// to request, is not reserved. An error ends the pass and is returned by it.
	Reserve(n int) error
	// Err is asked now and then while a pass works. An error, such as that of an ended
	// context, ends the pass and is returned by it.
	Err() error
}

// Heap is memory that the garbage collector frees, without a limit.
type Heap struct{}

// Grow is slices.Grow.
func (Heap) Grow(b []byte, n int) ([]byte, error) { return slices.Grow(b, n), nil }

// Reserve does nothing.
func (Heap) Reserve(int) error { return nil }

// Err does nothing.
func (Heap) Err() error { return nil }
