package conf

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

const redacted = "[REDACTED]"

// Opaque is a secret. It prints as [REDACTED] with every verb of fmt, in YAML, in JSON and in
// slog; string(o) is the secret. The trap is fmt's: a secret in an unexported field of a struct
// is printed as it is.
type Opaque string

// String returns [REDACTED].
func (o Opaque) String() string { return redacted }

// GoString returns [REDACTED] in quotes.
func (o Opaque) GoString() string { return strconv.Quote(redacted) }

// Format implements fmt.Formatter, for the verbs that do not ask for String: %d prints the
// value inside its complaint.
func (o Opaque) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		io.WriteString(f, o.GoString())
		return
	}
	io.WriteString(f, redacted)
}

// MarshalText serves JSON, also for keys of maps.
func (o Opaque) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements yaml.Marshaler.
func (o Opaque) MarshalYAML() (any, error) { return redacted, nil }

// MarshalJSON implements json.Marshaler.
func (o Opaque) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(redacted)), nil }

// LogValue implements slog.LogValuer.
func (o Opaque) LogValue() slog.Value { return slog.StringValue(redacted) }
