package libpf

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	hash128Bytes     = 16
	hash128HexDigits = 2 * hash128Bytes
)

// Hash128 is a 128-bit id, the common part of FileID and TraceHash. Bytes and text are
// big-endian. It is comparable.
//
//	String, StringNoQuotes, MarshalText, %s, %x   32 lowercase hexadecimal digits
//	MarshalJSON, %q                               the same in quotes
//	%X, %#x, %#v, %#X                             uppercase; with 0x before it
//	Base64, EncodeTo                              22 characters, URL alphabet, no padding
//	ToUUIDString                                  8-4-4-4-12 digits
//	%d, %v                                        {hi lo}, two decimal numbers
//
// It differs from the type of this name in earlier profilers in these points:
//   - Less and Compare use the unsigned value, which is the order of the bytes and of
//     the text. They used to compare signed halves.
//   - %x and the other hexadecimal verbs print all 32 digits. They used to drop leading
//     zeros, so that different values could have the same text.
//   - %s and %q print the text, unknown verbs the error text of package fmt with it.
//     They used to print two error texts.
//   - UnmarshalJSON does not change the value for null, as encoding/json requires, and
//     rejects 34 bytes that are not a string.
type Hash128 struct{ hi, lo uint64 }

// Hi returns the upper half.
func (h Hash128) Hi() uint64 { return h.hi }

// Lo returns the lower half.
func (h Hash128) Lo() uint64 { return h.lo }

// IsZero reports whether all bits are 0.
func (h Hash128) IsZero() bool { return h == Hash128{} }

// Equal reports whether both ids are equal.
func (h Hash128) Equal(other Hash128) bool { return h == other }

// Less reports whether h sorts before other.
func (h Hash128) Less(other Hash128) bool { return h.Compare(other) < 0 }

// Compare returns -1 if h sorts before other, 0 if they are equal, and +1 otherwise.
func (h Hash128) Compare(other Hash128) int {
	if c := cmp.Compare(h.hi, other.hi); c != 0 {
		return c
	}
	return cmp.Compare(h.lo, other.lo)
}

// Bytes returns the 16 bytes.
func (h Hash128) Bytes() []byte {
	b := h.array()
	return b[:]
}

// PutBytes16 writes the 16 bytes to b.
func (h Hash128) PutBytes16(b *[16]byte) { *b = h.array() }

func (h Hash128) array() (b [hash128Bytes]byte) {
	binary.BigEndian.PutUint64(b[:8], h.hi)
	binary.BigEndian.PutUint64(b[8:], h.lo)
	return b
}

// Base64 returns the base64 text: 22 characters of the URL alphabet.
func (h Hash128) Base64() string {
	b := h.array()
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// EncodeTo writes the base64 text to dst. It panics if dst is shorter than EncodedLen.
func (h Hash128) EncodeTo(dst []byte) {
	b := h.array()
	base64.RawURLEncoding.Encode(dst, b[:])
}

// EncodedLen returns the length of the base64 text in bytes.
func (Hash128) EncodedLen() int { return base64.RawURLEncoding.EncodedLen(hash128Bytes) }

// String returns the 32 hexadecimal digits.
func (h Hash128) String() string {
	b := h.array()
	return hex.EncodeToString(b[:])
}

// StringNoQuotes returns the 32 hexadecimal digits.
func (h Hash128) StringNoQuotes() string { return h.String() }

// ToUUIDString returns the digits in the form of a UUID.
func (h Hash128) ToUUIDString() string {
	s := h.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// AppendText implements encoding.TextAppender.
func (h Hash128) AppendText(dst []byte) ([]byte, error) {
	b := h.array()
	return hex.AppendEncode(dst, b[:]), nil
}

// MarshalText implements encoding.TextMarshaler, which JSON uses for keys of maps.
func (h Hash128) MarshalText() ([]byte, error) {
	return h.AppendText(make([]byte, 0, hash128HexDigits))
}

// UnmarshalText implements encoding.TextUnmarshaler. It accepts the forms that
// FileIDFromString accepts.
func (h *Hash128) UnmarshalText(text []byte) error {
	v, err := hash128FromString(text)
	if err != nil {
		return fmt.Errorf("128-bit id %s: %w", quoteShort(text), err)
	}
	*h = v
	return nil
}

// MarshalJSON implements json.Marshaler.
func (h Hash128) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, hash128HexDigits+2), '"')
	b, _ = h.AppendText(b)
	return append(b, '"'), nil
}

// UnmarshalJSON implements json.Unmarshaler. It accepts exactly 32 digits in quotes, in
// upper or lower case.
func (h *Hash128) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	const quoted = hash128HexDigits + 2
	if len(b) != quoted || b[0] != '"' || b[quoted-1] != '"' {
		return fmt.Errorf("128-bit id in JSON: found %s (%d bytes), expected a string of %d hexadecimal digits",
			quoteShort(b), len(b), hash128HexDigits)
	}
	v, err := hash128FromString(b[1 : quoted-1])
	if err != nil {
		return fmt.Errorf("128-bit id in JSON %s: %w", quoteShort(b), err)
	}
	*h = v
	return nil
}

// Format implements fmt.Formatter. Width, precision and alignment are those of a
// string.
func (h Hash128) Format(s fmt.State, verb rune) {
	text, prefix := h.String(), ""
	if s.Flag('#') {
		prefix = "0x"
	}
	switch verb {
	case 'x':
		text = prefix + text
	case 'X':
		text = prefix + strings.ToUpper(text)
	case 's':
	case 'q':
		text = `"` + text + `"`
	case 'v', 'd':
		if verb == 'v' && prefix != "" {
			text = prefix + text
			break
		}
		text = fmt.Sprintf("{%d %d}", h.hi, h.lo)
	default:
		text = fmt.Sprintf("%%!%c(libpf.Hash128=%s)", verb, text)
	}
	_, _ = fmt.Fprintf(s, fmt.FormatString(s, 's'), text)
}

func hash128FromBytes(b []byte) (Hash128, error) {
	if len(b) != hash128Bytes {
		return Hash128{}, fmt.Errorf("found %d bytes, expected %d", len(b), hash128Bytes)
	}
	return Hash128{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}, nil
}

// hash128FromString parses 32 hexadecimal digits in upper or lower case. It skips 0x
// before them, and dashes at any position.
func hash128FromString[T string | []byte](s T) (h Hash128, err error) {
	i, digits := 0, 0
	if len(s) >= 2 && s[0] == '0' && s[1] == 'x' {
		i = 2
	}
	for ; i < len(s); i++ {
		c := s[i]
		if c == '-' {
			continue
		}
		d, ok := hexDigit(c)
		if !ok {
			return Hash128{}, fmt.Errorf("found %q at byte %d, expected a hexadecimal digit", c, i)
		}
		h.hi = h.hi<<4 | h.lo>>60
		h.lo = h.lo<<4 | uint64(d)
		digits++
	}
	if digits != hash128HexDigits {
		return Hash128{}, fmt.Errorf("found %d hexadecimal digits, expected %d", digits, hash128HexDigits)
	}
	return h, nil
}

func hexDigit(c byte) (d byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// quoteMaxBytes is the maximum size of an invalid text in an error.
const quoteMaxBytes = 64

// quoteShort returns the text in quotes, shortened if it is long.
func quoteShort[T string | []byte](s T) string {
	if len(s) > quoteMaxBytes {
		return fmt.Sprintf("%q...", s[:quoteMaxBytes])
	}
	return fmt.Sprintf("%q", s)
}
