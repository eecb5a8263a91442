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

// Eight bytes at a time.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// load8 returns b[i:i+8], the first byte lowest.
func load8[T []byte | string](b T, i int) uint64 {
	s := b[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// plainEnd returns the index of the first byte at b[i:] that ends a run of plain
// text in a string: a quote, a backslash or a control character; else len(b).
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

// textEnds has the high bit of the lowest byte in w set that ends plain text. It
// may have bits of bytes above that one set, but of none below.
func textEnds(w uint64) uint64 {
	// With bit 1 turned over, the quote is what follows the control characters. A
	// difference has its high bit set if it is below zero; bytes that had it before
	// are not ASCII.
	control, slash := (w^2*ones)-('"'^2+1)*ones, (w^'\\'*ones)-ones
	return (control | slash) &^ w & highs
}

// copyPlain copies the plain text at b[i:] to out[n:] and returns the index of the
// byte that ends it. It writes up to seven bytes more than it copies, and fails if
// b or out end less than eight bytes behind.
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

// string reads a string and writes it as the field tag; if sparse, not the empty
// one.
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
	if !d.room(end - start) {
		return failed
	}
	d.putTag(tag)
	d.putVarint(uint64(end - start))
	d.n += copy(d.out[d.n:], d.text[start:end])
	return end + 1
}

// shortString is string for what nearly all strings are: plain, and such that
// their length takes one byte. It returns 0 if that is not what begins at
// d.text[i:], or the string is empty.
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

// escapedString is string for one with escapes, the length of which is not known
// ahead.
func (d *jsonDecoder) escapedString(tag uint8, i int) int {
	if !d.room(0) {
		return failed
	}
	d.putTag(tag)
	d.n++ // for the length
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

// content reads a string and returns its contents: a part of the text, or if
// there are escapes, of the room that is not written yet.
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
	case !d.room(0):
		return nil, failed
	}
	at := d.n + jsonSlack/2
	n, next := d.unescape(i+1, at)
	if next == failed {
		return nil, failed
	}
	return d.out[at : at+n], next
}

// unescape writes the contents of the string that begins at d.text[i:] to
// d.out[at:]. It returns how many bytes these are, and the index behind the
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

// escape reads the escape at d.text[i:], which begins with a backslash. Half of
// a surrogate pair is U+FFFD.
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

// utf16Unit reads \u and four hex digits at b[i:].
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

// badString fails where a string cannot go on.
func (d *jsonDecoder) badString(at int) int {
	if at >= len(d.text) {
		return d.fail(len(d.text), errors.New("unexpected end of text in a string"))
	}
	return d.fail(at, fmt.Errorf("control character %q in a string", d.text[at]))
}

// hexValues holds the value of each hex digit, and 0xff for all other bytes.
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

// hex reads an id.
func (d *jsonDecoder) hex(tag uint8, sparse bool, i int) int {
	if next := d.plainHex(tag, 16, i); next != 0 {
		return next
	}
	if next := d.plainHex(tag, 8, i); next != 0 {
		return next
	}
	s, next := d.content(i, "a string of hex digits")
	if next == failed || len(s) == 0 && sparse {
		return next
	}
	if len(s)%2 != 0 {
		return d.fail(i, errHex)
	}
	if !d.room(len(s) / 2) {
		return failed
	}
	d.putTag(tag)
	d.putVarint(uint64(len(s) / 2))
	// s may lie behind in the same room: what is written stays behind what is
	// read.
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

// plainHex reads an id of size bytes, a multiple of four. It returns 0 if that is
// not what stands at d.text[i:].
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

// fourHexBytes returns the bytes that eight hex digits stand for, both with the
// first lowest.
func fourHexBytes(w uint64) (v uint32, ok bool) {
	// Sums set the high bit of each byte from a certain character on. A byte that
	// has it already is neither digit nor letter, so what it carries into the next
	// one does not matter.
	low := w | ' '*ones
	digit := (w + (0x80-'0')*ones) &^ (w + (0x80-'9'-1)*ones)
	letter := (low + (0x80-'a')*ones) &^ (low + (0x80-'f'-1)*ones)
	ok = (digit|letter)&highs == highs
	w = w&(0xf*ones) + w>>6&ones*9
	w = (w<<4 | w>>8) & 0x00ff00ff00ff00ff
	w = (w | w>>8) & 0x0000ffff0000ffff
	return uint32(w | w>>16), ok
}

// base64 reads bytes, in the standard or the URL alphabet, with padding or
// without, as the official module does.
func (d *jsonDecoder) base64(tag uint8, sparse bool, i int) int {
	s, next := d.content(i, "a string of base64")
	if next == failed || len(s) == 0 && sparse {
		return next
	}
	encoding := [2][2]*base64.Encoding{
		{base64.StdEncoding, base64.RawStdEncoding}, {base64.URLEncoding, base64.RawURLEncoding},
	}[oneIf(bytes.ContainsAny(s, "-_"))][oneIf(len(s)%4 != 0)]
	most := encoding.DecodedLen(len(s))
	if !d.room(most) {
		return failed
	}
	d.putTag(tag)
	d.n++ // for the length
	mark := d.n
	// s may lie in the same room, jsonSlack/2 behind: what is written stays
	// behind what is read.
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
