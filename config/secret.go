package config

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

const redacted = "[REDACTED]"

// Secret is a secret. It prints as [REDACTED] with every verb of fmt, in YAML, in JSON and in
// slog; string(o) is the secret. The trap is fmt's: a secret in an unexported field of a struct
// is printed as it is.
type Secret string

// String returns [REDACTED].
func (o Secret) String() string { return redacted }

// GoString returns [REDACTED] in quotes.
func (o Secret) GoString() string { return strconv.Quote(redacted) }

// Format implements fmt.Formatter, for the verbs that do not ask for String: %d prints the
// value inside its complaint.
func (o Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		io.WriteString(f, o.GoString())
		return
	}
	io.WriteString(f, redacted)
}

// MarshalText serves JSON, also for keys of maps.
func (o Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements yaml.Marshaler.
func (o Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalJSON implements json.Marshaler.
func (o Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(redacted)), nil }

// LogValue implements slog.LogValuer.
func (o Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
