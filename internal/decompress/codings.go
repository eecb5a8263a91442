package decompress

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// Codings are the content encodings that a server takes. The zero value takes
// all that Decompress knows.
type Codings struct {
	names []string // nil is all
}

// ParseCodings reads a list such as the Collector's compression_algorithms: nil
// is all; an empty list turns decompression off, see Off; "" in the list stands
// for bodies that are not compressed.
func ParseCodings(names []string) (Codings, error) {
	if names == nil {
		return Codings{}, nil
	}
	known := append(config.Encodings(), "")
	c := Codings{names: make([]string, 0, len(names))}
	var problems []error
	for _, name := range names {
		canonical := canonicalCoding(name)
		if !slices.Contains(known, canonical) {
			problems = append(problems, fmt.Errorf(`unknown compression %q%s; "" is uncompressed`, name, suggest.Known(name, config.Encodings())))
			continue
		}
		c.names = append(c.names, canonical)
	}
	return c, errors.Join(problems...)
}

func canonicalCoding(name string) string {
	switch name = strings.ToLower(name); name {
	case "identity":
		return ""
	case "x-gzip":
		return "gzip"
	}
	return name
}

// Off: bodies are handed on as they are, whatever their encoding is called.
func (c Codings) Off() bool { return c.names != nil && len(c.names) == 0 }

// Allows tells whether a body with this Content-Encoding, "" where there is none,
// is taken. It allows nothing where decompression is Off.
func (c Codings) Allows(encoding string) bool {
	name := canonicalCoding(encoding)
	if c.names == nil {
		return name == "" || slices.Contains(config.Encodings(), name)
	}
	return slices.Contains(c.names, name)
}

// String lists what is taken, for an answer that says what was expected.
func (c Codings) String() string {
	names := c.names
	if names == nil {
		names = append(config.Encodings(), "")
	}
	shown := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	if slices.Contains(names, "") {
		shown = append(shown, "none")
	}
	switch last := len(shown) - 1; {
	case last > 0:
		return strings.Join(shown[:last], ", ") + " or " + shown[last]
	default:
		return strings.Join(shown, "")
	}
}
