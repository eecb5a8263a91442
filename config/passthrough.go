package config

import "fmt"

// PassthroughMode says which compressed requests an exporter sends as they came.
type PassthroughMode string

// The modes. The empty string means PassMatching.
const (
	// PassMatching sends requests as they came that came in the compression of the
	// exporter. What came in another one is decompressed and compressed.
	PassMatching PassthroughMode = "matching"
	// PassAny sends all requests as they came that came in a compression which the
	// protocol has. What was not compressed is.
	PassAny PassthroughMode = "any"
	// PassOff compresses each request.
	PassOff PassthroughMode = "off"
)

// Passthrough are the settings of an exporter for requests that came compressed and were
// not changed.
type Passthrough struct {
	Mode PassthroughMode `yaml:"compressed_passthrough"`
	// Merge allows requests that consist of several compressed members or frames, which
	// some servers read only the first of: such a request is sent as it came, and requests
	// can be merged without decompressing them.
	Merge bool `yaml:"compressed_merge"`
}

// DefaultPassthrough returns the defaults.
func DefaultPassthrough() Passthrough { return Passthrough{Mode: PassMatching} }

// Validate returns an error for an unknown mode.
func (p Passthrough) Validate() error {
	switch p.Mode {
	case PassMatching, PassAny, PassOff, "":
		return nil
	}
	return At("compressed_passthrough", fmt.Errorf("unknown mode %q: expected matching, any or off", string(p.Mode)))
}
