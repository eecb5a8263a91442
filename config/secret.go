package config

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
)

const redacted = "[REDACTED]"

// Secret is a secret text. It prints as [REDACTED] with every verb of fmt, in YAML, in JSON and
// in slog; string(s) is the secret. The one trap: fmt prints a secret in an unexported field of
// a struct in clear text.
type Secret string

// String returns [REDACTED].
func (o Secret) String() string { return redacted }

// GoString returns [REDACTED] in quotes.
func (o Secret) GoString() string { return strconv.Quote(redacted) }

// Format implements fmt.Formatter for the verbs that do not call String: %d would print
// the value in its error text.
func (o Secret) Format(f fmt.State, verb rune) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		io.WriteString(f, o.GoString())
		return
	}
	io.WriteString(f, redacted)
}

// MarshalText implements encoding.TextMarshaler, which JSON uses for keys of
// maps.
func (o Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalYAML implements yaml.Marshaler.
func (o Secret) MarshalYAML() (any, error) { return redacted, nil }

// MarshalJSON implements json.Marshaler.
func (o Secret) MarshalJSON() ([]byte, error) { return []byte(strconv.Quote(redacted)), nil }

// LogValue implements slog.LogValuer.
func (o Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
