package otlp

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Masks for words of eight bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// load8 returns b[i:i+8] as a little-endian number.
func load8[T []byte | string](b T, i int) uint64 {
	s := b[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// plainEnd returns the index of the first byte of b[i:] that is not plain text of a
// string but a quote, a backslash or a control character, or len(b).
func plainEnd(b []byte, i int) int {
	for ; i+8 <= len(b); i += 8 {
		if hit := textEnds(load8(b, i)); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return i
}

// textEnds sets the high bit of the lowest byte of w that is not plain text. It may
// set bits of the bytes above it, but not of those below.
func textEnds(w uint64) uint64 {
	// With bit 1 inverted, the quote directly follows the control characters. The
	// high bit of a byte is set if its difference is negative. Bytes of w that have
	// it already are not ASCII.
	control, slash := (w^2*ones)-('"'^2+1)*ones, (w^'\\'*ones)-ones
	return (control | slash) &^ w & highs
}

// copyPlain copies the plain text at b[i:] to out[n:] and returns the index in b of
// the byte that ends it. It can write up to seven bytes more. It fails if less than
// eight bytes of b or out are left.
func copyPlain(out []byte, n int, b []byte, i int) int {
	for i+8 <= len(b) && n+8 <= len(out) {
		w := load8(b, i)
		binary.LittleEndian.PutUint64(out[n:], w)
		if hit := textEnds(w); hit != 0 {
			return i + bits.TrailingZeros64(hit)/8
		}
		i, n = i+8, n+8
	}
	return failed
}

// string reads a string and writes it as a field with this tag, unless it is empty
// and sparse is true.
func (d *jsonDecoder) string(tag uint8, sparse bool, i int) int {
	if i >= len(d.text) || d.text[i] != '"' {
		return d.expected(i, "a string")
	}
	start := i + 1
	if next := d.shortString(tag, start); next != 0 {
		return next
	}
	end := plainEnd(d.text, start)
	if end < len(d.text) && d.text[end] == '\\' {
		return d.escapedString(tag, i)
	}
	if end == len(d.text) || d.text[end] != '"' {
		return d.badString(end)
	}
	if sparse && start == end {
		return end + 1
	}
	if !d.ensure(end - start) {
		return failed
	}
	d.putTag(tag)
	d.putVarint(uint64(end - start))
	d.n += copy(d.out[d.n:], d.text[start:end])
	return end + 1
}

// shortString is the fast path of string for strings without escapes of 1 to 127
// bytes. It returns 0 if d.text[i:] does not begin with one.
func (d *jsonDecoder) shortString(tag uint8, i int) int {
	if !d.fits(0) {
		return 0
	}
	n := d.n + 1
	if tag >= 0x80 {
		n++
	}
	end := copyPlain(d.out, n+1, d.text, i)
	if size := end - i; size <= 0 || size >= 0x80 || d.text[end] != '"' {
		return 0
	}
	d.putTag(tag)
	d.out[n] = byte(end - i)
	d.n = n + 1 + end - i
	return end + 1
}

// escapedString is string for a string with escapes, whose length is not known in
// advance.
func (d *jsonDecoder) escapedString(tag uint8, i int) int {
	if !d.ensure(0) {
		return failed
	}
	d.putTag(tag)
	d.n++ // reserved for the length
	mark := d.n
	n, next := d.unescape(i+1, mark)
	if next == failed {
		return failed
	}
	d.n += n
	if d.closeLength(mark, 1, false) == 0 {
		return failed
	}
	return next
}

// content reads a string and returns its content: a slice of the text, or, if it
// has escapes, of the unwritten part of the output buffer.
func (d *jsonDecoder) content(i int, what string) (s []byte, next int) {
	if i >= len(d.text) || d.text[i] != '"' {
		return nil, d.expected(i, what)
	}
	end := plainEnd(d.text, i+1)
	switch {
	case end == len(d.text) || d.text[end] < ' ':
		return nil, d.badString(end)
	case d.text[end] == '"':
		return d.text[i+1 : end], end + 1
	case !d.ensure(0):
		return nil, failed
	}
	at := d.n + jsonSlack/2
	n, next := d.unescape(i+1, at)
	if next == failed {
		return nil, failed
	}
	return d.out[at : at+n], next
}

// unescape writes the content of the string at d.text[i:], after its opening quote,
// to d.out[at:]. It returns the number of bytes written and the index after the
// closing quote.
func (d *jsonDecoder) unescape(i, at int) (n, next int) {
	start := at
	for {
		end := plainEnd(d.text, i)
		if len(d.out)-at < end-i+jsonSlack {
			d.err = ErrShortBuffer
			return 0, failed
		}
		at += copy(d.out[at:], d.text[i:end])
		switch {
		case end == len(d.text) || d.text[end] < ' ':
			return 0, d.badString(end)
		case d.text[end] == '"':
			return at - start, end + 1
		}
		r, next := d.escape(end)
		if next == failed {
			return 0, failed
		}
		at += utf8.EncodeRune(d.out[at:], r)
		i = next
	}
}

// escape reads the escape sequence at d.text[i:]. Half a surrogate pair is U+FFFD.
func (d *jsonDecoder) escape(i int) (r rune, next int) {
	if i+1 >= len(d.text) {
		return 0, d.badString(len(d.text))
	}
	switch c := d.text[i+1]; c {
	case '"', '\\', '/':
		return rune(c), i + 2
	case 'b':
		return '\b', i + 2
	case 'f':
		return '\f', i + 2
	case 'n':
		return '\n', i + 2
	case 'r':
		return '\r', i + 2
	case 't':
		return '\t', i + 2
	case 'u':
		return d.unicodeEscape(i)
	}
	return 0, d.fail(i, errors.New("invalid escape sequence"))
}

func (d *jsonDecoder) unicodeEscape(i int) (r rune, next int) {
	r, ok := utf16Unit(d.text, i)
	if !ok {
		return 0, d.fail(i, errors.New(`invalid escape sequence: \u must be followed by four hex digits`))
	}
	if !utf16.IsSurrogate(r) {
		return r, i + 6
	}
	if low, ok := utf16Unit(d.text, i+6); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, i + 12
		}
	}
	return utf8.RuneError, i + 6
}

// utf16Unit reads \u and four hex digits at b[i:]; ok is false if it is not there.
func utf16Unit(b []byte, i int) (r rune, ok bool) {
	if len(b)-i < 6 || b[i] != '\\' || b[i+1] != 'u' {
		return 0, false
	}
	for _, c := range b[i+2 : i+6] {
		v := hexValues[c]
		if v > 0xf {
			return 0, false
		}
		r = r<<4 | rune(v)
	}
	return r, true
}

// badString fails at a byte that is invalid in a string, or at the end of the text.
func (d *jsonDecoder) badString(at int) int {
	if at >= len(d.text) {
		return d.fail(len(d.text), errors.New("unexpected end of text in a string"))
	}
	return d.fail(at, fmt.Errorf("control character %q in a string", d.text[at]))
}

// hexValues holds the value of each hex digit, 0xff for all other bytes.
var hexValues = func() (v [256]uint8) {
	for c := range v {
		v[c] = 0xff
	}
	for k := range uint8(10) {
		v['0'+k] = k
	}
	for k := range uint8(6) {
		v['a'+k], v['A'+k] = 10+k, 10+k
	}
	return v
}()

var errHex = errors.New("id is not an even number of hex digits")

// hex reads an id and writes it as field f.
func (d *jsonDecoder) hex(f *jsonField, sparse bool, i int) int {
	if next := d.plainHex(f.tag, int(f.arg), i); next != 0 {
		return next
	}
	s, next := d.content(i, "a string of hex digits")
	if next == failed || len(s) == 0 && sparse {
		return next
	}
	switch {
	case len(s)%2 != 0:
		return d.fail(i, errHex)
	case len(s) != 2*int(f.arg) && len(s) != 0:
		if !isHex(s) {
			return d.fail(i, errHex)
		}
		return d.fail(i, &idError{len(s) / 2, int(f.arg)})
	}
	if !d.ensure(len(s) / 2) {
		return failed
	}
	d.putTag(f.tag)
	d.putVarint(uint64(len(s) / 2))
	// s may be in the same buffer, at a higher offset: writing does not overtake
	// reading.
	out, k, ok := d.out[d.n:d.n+len(s)/2], 0, true
	for ; k+4 <= len(out) && ok; k += 4 {
		var v uint32
		v, ok = fourHexBytes(load8(s, 2*k))
		binary.LittleEndian.PutUint32(out[k:], v)
	}
	for ; k < len(out) && ok; k++ {
		hi, lo := hexValues[s[2*k]], hexValues[s[2*k+1]]
		out[k] = hi<<4 | lo
		ok = hi|lo <= 0xf
	}
	if !ok {
		return d.fail(i, errHex)
	}
	d.n += len(out)
	return next
}

func isHex(s []byte) bool {
	for _, c := range s {
		if hexValues[c] > 0xf {
			return false
		}
	}
	return true
}

// plainHex is the fast path of hex for ids of size bytes, a multiple of four. It
// returns 0 if d.text[i:] does not begin with one.
func (d *jsonDecoder) plainHex(tag uint8, size, i int) int {
	b, end := d.text, i+1+2*size
	if end >= len(b) || b[end] != '"' || b[i] != '"' || !d.fits(0) {
		return 0
	}
	n := d.n
	d.putTag(tag)
	d.out[d.n] = byte(size)
	out := d.out[d.n+1 : d.n+1+size]
	for k := 0; k+4 <= len(out); k += 4 {
		v, ok := fourHexBytes(load8(b, i+1+2*k))
		if !ok {
			d.n = n
			return 0
		}
		binary.LittleEndian.PutUint32(out[k:], v)
	}
	d.n += 1 + size
	return end + 1
}

// fourHexBytes decodes the eight hex digits of w to four bytes. Both are in
// little-endian order.
func fourHexBytes(w uint64) (v uint32, ok bool) {
	// Each sum sets the high bit of the bytes from a certain character on. A byte
	// that has it already is neither a digit nor a letter, so that its carry into
	// the next byte does not matter.
	low := w | ' '*ones
	digit := (w + (0x80-'0')*ones) &^ (w + (0x80-'9'-1)*ones)
	letter := (low + (0x80-'a')*ones) &^ (low + (0x80-'f'-1)*ones)
	ok = (digit|letter)&highs == highs
	w = w&(0xf*ones) + w>>6&ones*9
	w = (w<<4 | w>>8) & 0x00ff00ff00ff00ff
	w = (w | w>>8) & 0x0000ffff0000ffff
	return uint32(w | w>>16), ok
}

// base64 reads bytes in the standard or the URL alphabet, with or without padding,
// like the official module, and writes them as a field with this tag.
func (d *jsonDecoder) base64(tag uint8, sparse bool, i int) int {
	s, next := d.content(i, "a string of base64")
	if next == failed || len(s) == 0 && sparse {
		return next
	}
	encoding := [2][2]*base64.Encoding{
		{base64.StdEncoding, base64.RawStdEncoding}, {base64.URLEncoding, base64.RawURLEncoding},
	}[oneIf(bytes.ContainsAny(s, "-_"))][oneIf(len(s)%4 != 0)]
	most := encoding.DecodedLen(len(s))
	if !d.ensure(most) {
		return failed
	}
	d.putTag(tag)
	d.n++ // reserved for the length
	mark := d.n
	// s may be in the same buffer, at an offset higher by jsonSlack/2: writing does
	// not overtake reading.
	n, err := encoding.Decode(d.out[mark:], s)
	if err != nil {
		return d.fail(i, fmt.Errorf("decode base64: %w", err))
	}
	d.n += n
	if d.closeLength(mark, 1, false) == 0 {
		return failed
	}
	return next
}

func oneIf(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
