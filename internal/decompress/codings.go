package decompress

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/suggest"
)

// Codings are the content encodings that a server accepts. The zero value
// accepts all that Decompress supports.
type Codings struct {
	names []string // nil means all
}

// ParseCodings parses a list such as the Collector's compression_algorithms:
// nil means all; an empty list turns decompression off, see Off; "" in the list
// means bodies that are not compressed.
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

// Off reports whether decompression is off: bodies are passed on unchanged,
// whatever their encoding.
func (c Codings) Off() bool { return c.names != nil && len(c.names) == 0 }

// Allows reports whether a body with this Content-Encoding ("" if there is none)
// is accepted. It returns false for all encodings if decompression is Off.
func (c Codings) Allows(encoding string) bool {
	name := canonicalCoding(encoding)
	if c.names == nil {
		return name == "" || slices.Contains(config.Encodings(), name)
	}
	return slices.Contains(c.names, name)
}

// String lists the accepted encodings, for error responses.
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
