// Package jsonvalue writes JSON as the values of OTLP, in one pass without a tree: objects
// as the fields of a KeyValueList, arrays as those of an ArrayValue. Numbers are doubles, as
// in the Collector's ParseJSON. Of equal keys the last one counts.
package jsonvalue

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// MaxDepth is how many objects and arrays may be in each other: about the depth of
// messages that a request may have.
const MaxDepth = 30

// Kind is what a text is.
type Kind uint8

// The kinds.
const (
	Object Kind = 1 + iota
	Array
)

var (
	errEnd    = errors.New("unexpected end")
	errScalar = errors.New("expected an object or an array")
)

// A Decoder keeps memory between texts. The zero value is ready for use.
type Decoder struct {
	text  []byte
	at    int
	enc   wire.Encoder
	depth int
	keys  []keyAt // of the objects that are open
}

// keyAt is a key that was written.
type keyAt struct {
	hash  uint64
	start int // of its entry
}

// Append appends the fields of the object or array that text is.
func (d *Decoder) Append(dst, text []byte) ([]byte, Kind, error) {
	d.text, d.at, d.enc.Buf, d.depth, d.keys = text, 0, dst, 0, d.keys[:0]
	kind, err := d.document()
	if err != nil {
		err = fmt.Errorf("JSON, byte %d: %w", d.at, err)
	}
	dst, d.enc.Buf, d.text = d.enc.Buf, nil, nil
	return dst, kind, err
}

func (d *Decoder) document() (kind Kind, err error) {
	switch c := d.peek(); {
	case c == '{':
		kind, err = Object, d.object()
	case c == '[':
		kind, err = Array, d.array()
	case d.at == len(d.text):
		return 0, errEnd
	default:
		return 0, errScalar
	}
	if err == nil && (d.peek() != 0 || d.at < len(d.text)) {
		err = errors.New("unexpected text behind the value")
	}
	return kind, err
}

// peek skips white space and returns the next byte, 0 at the end.
func (d *Decoder) peek() byte {
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

func (d *Decoder) unexpected(expected string) error {
	if d.at == len(d.text) {
		return errEnd
	}
	return fmt.Errorf("found %q, expected %s", d.text[d.at], expected)
}

// next skips a separator or the end of an object or array; end reports which one it was.
func (d *Decoder) next(closing byte) (end bool, err error) {
	switch d.peek() {
	case ',':
		d.at++
		return false, nil
	case closing:
		d.at++
		return true, nil
	}
	return false, d.unexpected(`"," or the end of the ` + map[byte]string{'}': "object", ']': "array"}[closing])
}

func (d *Decoder) open() error {
	d.at++
	if d.depth++; d.depth > MaxDepth {
		return fmt.Errorf("more than %d objects and arrays in each other", MaxDepth)
	}
	return nil
}

// object writes the entries of an object.
func (d *Decoder) object() error {
	if err := d.open(); err != nil {
		return err
	}
	base, start := len(d.keys), len(d.enc.Buf)
	end := d.peek() == '}'
	if end {
		d.at++
	}
	for !end {
		if d.peek() != '"' {
			return d.unexpected("a key")
		}
		entry := len(d.enc.Buf)
		mark := d.enc.Open(otlpfield.KeyValueListValues)
		if err := d.stringField(otlpfield.KeyValueKey); err != nil {
			return err
		}
		if d.peek() != ':' {
			return d.unexpected(`":"`)
		}
		d.at++
		value := d.enc.Open(otlpfield.KeyValueValue)
		if err := d.value(); err != nil {
			return err
		}
		d.enc.Close(value)
		d.enc.Close(mark)
		d.keys = append(d.keys, keyAt{start: entry})
		var err error
		if end, err = d.next('}'); err != nil {
			return err
		}
	}
	d.unique(base, start)
	d.keys = d.keys[:base]
	d.depth--
	return nil
}

// unique removes all but the last of the entries with equal keys. The entries of the
// object begin at start, and are those from base on in keys.
func (d *Decoder) unique(base, start int) {
	keys := d.keys[base:]
	if len(keys) < 2 {
		return
	}
	repeated := false
	if len(keys) <= 32 {
		for i := range keys {
			keys[i].hash = hash(d.key(keys[i].start))
			for j := range i {
				if keys[j].hash == keys[i].hash {
					repeated = true // or a collision
				}
			}
		}
		if !repeated {
			return
		}
	}
	last := make(map[string]int, len(keys))
	for i := range keys {
		last[string(d.key(keys[i].start))] = i
	}
	if len(last) == len(keys) {
		return
	}
	kept := start
	for i := range keys {
		end := len(d.enc.Buf)
		if i+1 < len(keys) {
			end = keys[i+1].start
		}
		if last[string(d.key(keys[i].start))] == i {
			kept += copy(d.enc.Buf[kept:], d.enc.Buf[keys[i].start:end])
		}
	}
	d.enc.Buf = d.enc.Buf[:kept]
}

// key returns the key of the entry at start.
func (d *Decoder) key(start int) []byte {
	c := wire.Cursor{Buf: d.enc.Buf[start:]}
	c.Next()
	return wire.LastBytes(c.Bytes, otlpfield.KeyValueKey)
}

// hash is FNV-1a.
func hash(b []byte) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, c := range b {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h
}

// array writes the elements of an array.
func (d *Decoder) array() error {
	if err := d.open(); err != nil {
		return err
	}
	end := d.peek() == ']'
	if end {
		d.at++
	}
	for !end {
		mark := d.enc.Open(otlpfield.ArrayValueValues)
		if err := d.value(); err != nil {
			return err
		}
		d.enc.Close(mark)
		var err error
		if end, err = d.next(']'); err != nil {
			return err
		}
	}
	d.depth--
	return nil
}

// value writes the fields of an AnyValue.
func (d *Decoder) value() error {
	switch c := d.peek(); c {
	case '"':
		return d.stringField(otlpfield.AnyValueStringValue)
	case '{':
		mark := d.enc.Open(otlpfield.AnyValueKvlistValue)
		err := d.object()
		d.enc.Close(mark)
		return err
	case '[':
		mark := d.enc.Open(otlpfield.AnyValueArrayValue)
		err := d.array()
		d.enc.Close(mark)
		return err
	case 't':
		d.enc.Varint(otlpfield.AnyValueBoolValue, 1)
		return d.word("true")
	case 'f':
		d.enc.Varint(otlpfield.AnyValueBoolValue, 0)
		return d.word("false")
	case 'n':
		return d.word("null")
	default:
		if c == '-' || c >= '0' && c <= '9' {
			return d.number()
		}
		return d.unexpected("a value")
	}
}

func (d *Decoder) word(word string) error {
	if !bytes.HasPrefix(d.text[d.at:], []byte(word)) {
		return d.unexpected(word)
	}
	d.at += len(word)
	return nil
}

// number writes a double.
func (d *Decoder) number() error {
	begin := d.at
	if d.text[d.at] == '-' {
		d.at++
	}
	integer := d.digits()
	if integer == 0 || integer > 1 && d.text[d.at-integer] == '0' {
		return errors.New("a number without digits, or with a 0 before them")
	}
	small := integer <= 15
	if d.at < len(d.text) && d.text[d.at] == '.' {
		d.at++
		if small = false; d.digits() == 0 {
			return errors.New("a number without digits behind its point")
		}
	}
	if d.at < len(d.text) && d.text[d.at]|0x20 == 'e' {
		d.at++
		if d.at < len(d.text) && (d.text[d.at] == '+' || d.text[d.at] == '-') {
			d.at++
		}
		if small = false; d.digits() == 0 {
			return errors.New("a number without digits in its exponent")
		}
	}
	text := d.text[begin:d.at]
	if small {
		d.enc.Double(otlpfield.AnyValueDoubleValue, integerOf(text))
		return nil
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return errors.New("a number outside of the range of doubles")
	}
	d.enc.Double(otlpfield.AnyValueDoubleValue, f)
	return nil
}

// integerOf returns the value of at most 15 digits, which a double has exactly.
func integerOf(text []byte) float64 {
	negative := text[0] == '-'
	if negative {
		text = text[1:]
	}
	n := int64(0)
	for _, c := range text {
		n = n*10 + int64(c-'0')
	}
	if negative {
		return -float64(n)
	}
	return float64(n)
}

// digits skips digits and returns how many.
func (d *Decoder) digits() int {
	begin := d.at
	for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
		d.at++
	}
	return d.at - begin
}

// stringField writes a string as field num.
func (d *Decoder) stringField(num uint32) error {
	d.at++
	begin := d.at
	for ; d.at < len(d.text); d.at++ {
		switch c := d.text[d.at]; {
		case c == '"':
			d.enc.Bytes(num, d.text[begin:d.at])
			d.at++
			return nil
		case c == '\\':
			return d.escapedField(num, begin)
		case c < ' ':
			return fmt.Errorf("the character %q in a string is not an escape", c)
		}
	}
	return errEnd
}

// escapedField writes the string that begins at begin, whose first escape is next.
func (d *Decoder) escapedField(num uint32, begin int) error {
	mark := d.enc.Open(num)
	d.enc.Raw(d.text[begin:d.at])
	for d.at < len(d.text) {
		c := d.text[d.at]
		switch {
		case c == '"':
			d.at++
			d.enc.Close(mark)
			return nil
		case c == '\\':
			if err := d.escape(); err != nil {
				return err
			}
			continue
		case c < ' ':
			return fmt.Errorf("the character %q in a string is not an escape", c)
		}
		d.enc.Buf = append(d.enc.Buf, c)
		d.at++
	}
	return errEnd
}

var escapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape writes what an escape stands for.
func (d *Decoder) escape() error {
	if d.at+1 >= len(d.text) {
		return errEnd
	}
	c := d.text[d.at+1]
	if c != 'u' {
		if escapes[c] == 0 {
			return fmt.Errorf("found %q, expected an escape", d.text[d.at:d.at+2])
		}
		d.enc.Buf = append(d.enc.Buf, escapes[c])
		d.at += 2
		return nil
	}
	r, ok := hex4(d.text[d.at+2:])
	if !ok {
		return errors.New(`\u without four hexadecimal digits`)
	}
	d.at += 6
	if utf16.IsSurrogate(r) {
		low := rune(-1)
		if rest := d.text[d.at:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
			low, _ = hex4(rest[2:])
		}
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			d.at += 6
		}
	}
	d.enc.Buf = utf8.AppendRune(d.enc.Buf, r)
	return nil
}

func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
