package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Memory is where something of unknown size is written.
type Memory interface {
	// Grow returns b, moved if need be, with room for n more bytes. The first time
	// b is nil. An error ends the writing and is returned by it.
	Grow(b []byte, n int) ([]byte, error)
}

// EncodeJSON is AppendJSON into memory of mem, of which it asks for more before it
// writes: of strings and lists in steps of what they can need at most.
func EncodeJSON(mem Memory, s Signal, request []byte) (text []byte, err error) {
	if !s.Valid() {
		return AppendJSON(nil, s, request), nil
	}
	defer func() {
		if p := recover(); p != nil {
			failed, ok := p.(noMemory)
			if !ok {
				panic(p)
			}
			text, err = nil, failed.err
		}
	}()
	return appendJSON(nil, roots[s], request, mem), nil
}

// noMemory is the panic that ends EncodeJSON when Memory has no room.
type noMemory struct{ err error }

const (
	// jsonFieldBytes is room for the longest key with a number, and the brackets
	// around it.
	jsonFieldBytes = 128
	// jsonEndBytes is room for the brackets that end all open messages and lists.
	jsonEndBytes = 2 * (maxFrames + 1)
	// jsonPieceBytes is how much of a packed list is written at a time.
	jsonPieceBytes = 1 << 10
	// packedRatio is the largest ratio of text to wire of a packed list: a 64-bit
	// number of one byte with quotes, three digits and a comma.
	packedRatio = 6
)

// room returns dst with room for n more bytes and the ends of all that is open.
func (e *jsonEncoder) room(dst []byte, n int) []byte {
	if n += jsonEndBytes; e.mem == nil || cap(dst)-len(dst) >= n {
		return dst
	}
	dst, err := e.mem.Grow(dst, n)
	if err != nil {
		panic(noMemory{err})
	}
	return dst
}

// scalar is appendJSONScalar with room.
func (e *jsonEncoder) scalar(dst []byte, f *jsonField, c *wire.Cursor) (out []byte, wrote bool) {
	if e.mem != nil && c.Type == wire.TypeBytes {
		dst = e.room(dst, maxJSONBytes(f.kind, c.Bytes))
	}
	return appendJSONScalar(dst, f, c)
}

// str is appendJSONString with room.
func (e *jsonEncoder) str(dst, s []byte) []byte {
	if e.mem != nil {
		dst = e.room(dst, maxJSONBytes(jsonString, s))
	}
	return appendJSONString(dst, s)
}

// packed is appendJSONPacked with room.
func (e *jsonEncoder) packed(dst []byte, f *jsonField, b []byte) []byte {
	if e.mem == nil {
		return appendJSONPacked(dst, f, b)
	}
	for first := true; len(b) > 0; first = false {
		n := min(jsonPieceBytes, len(b))
		for f.wireType() != wire.TypeFixed64 && n < len(b) && b[n-1] >= 0x80 {
			n++
		}
		dst = e.room(dst, packedRatio*n+jsonFieldBytes)
		if !first {
			dst = append(dst, ',')
		}
		dst, b = appendJSONPacked(dst, f, b[:n]), b[n:]
	}
	return dst
}

// maxJSONBytes returns an upper bound for the text of a string, an id or bytes, with
// quotes. It is exact within a few bytes for long values of valid UTF-8.
func maxJSONBytes(kind jsonKind, v []byte) int {
	const quotes = jsonFieldBytes
	switch kind {
	case jsonHex:
		return 2*len(v) + quotes
	case jsonBytes:
		return base64.StdEncoding.EncodedLen(len(v)) + quotes
	}
	if 6*len(v) <= jsonPieceBytes {
		return 6*len(v) + quotes
	}
	n := len(v) + quotes
	if isPlainASCII(v) {
		return n
	}
	for i := plainEnd(v, 0); i < len(v); i = plainEnd(v, i+1) {
		switch v[i] {
		case '"', '\\', '\b', '\f', '\n', '\r', '\t':
			n++
		default:
			n += 5 // \u00xx
		}
	}
	if !utf8.Valid(v) {
		n += 2 * countHigh(v)
	}
	return n
}

// countHigh returns the number of bytes of v that are not ASCII, each of which may
// become U+FFFD.
func countHigh(v []byte) (n int) {
	for ; len(v) >= 8; v = v[8:] {
		n += int((binary.LittleEndian.Uint64(v) & highs >> 7) * ones >> 56)
	}
	for _, c := range v {
		n += int(c >> 7)
	}
	return n
}
