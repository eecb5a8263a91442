package otlpedit

// Reset empties w.
func (w *Writer) Reset() { w.e.Buf = w.e.Buf[:0] }

// MaxKeptBytes is for tests.
const MaxKeptBytes = maxKeptBytes

// Profiles is for tests.
var Profiles = profiles
