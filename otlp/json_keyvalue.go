package otlp

import (
	"encoding/binary"
	"math"
)

// Nine of ten fields of real telemetry are attributes of this form:
//
//	{"key":"…","value":{"stringValue":"…"}}
//
// or with an intValue. This is a fast path that recognizes them and copies eight
// bytes at a time. Everything else is left to the general decoder: white space,
// another order, escapes, other types of values, texts of more than 127 bytes, and
// errors.

// plainKeyValues reads a sequence of such attributes and returns the index after
// the last one, or i if there is none.
func (d *jsonDecoder) plainKeyValues(fr *jsonFrame, tag uint8, i int) int {
	for next := d.plainKeyValue(tag, i); next != 0; fr.index++ {
		i = next
		if i == len(d.text) || d.text[i] != ',' || i >= d.lookAt {
			break
		}
		if next = d.plainKeyValue(tag, i+1); next == 0 {
			break
		}
	}
	return i
}

// plainKeyValue reads and writes one attribute and returns the index after it, or 0
// if it is not of this form or needs a length of more than one byte; d.n is then
// unchanged.
func (d *jsonDecoder) plainKeyValue(tag uint8, i int) int {
	b, out := d.text, d.out
	if len(b)-i < 8 || load8(b, i) != keyStart || !d.fits(0) {
		return 0
	}
	size := d.n + 1 // the offset of the length of the attribute
	if tag >= 0x80 {
		size++
	}
	key := i + len(`{"key":"`)
	keyEnd := copyPlain(out, size+3, b, key)
	value := keyEnd + len(`","value":{"`)
	if keyEnd == failed || len(b)-value < 16 || load8(b, keyEnd) != valueStart || load4(b, value-4) != valueOpen {
		return 0
	}
	n, next := size+3+keyEnd-key, 0
	switch load8(b, value) {
	case stringStart:
		if load8(b, value+6) == stringOpen {
			n, next = d.plainString(n, value+14)
		}
	case intStart:
		if b[value+8] == '"' && b[value+9] == ':' {
			n, next = d.plainInt(n, value+10)
		}
	}
	if next == 0 || n-size > 0x80 {
		return 0
	}
	d.putTag(tag)
	out[size], out[size+1], out[size+2] = byte(n-size-1), tagKey, byte(keyEnd-key)
	d.n = n
	return next
}

// Parts of the form, as load8 and load4 return them.
const (
	keyStart    = '{' | '"'<<8 | 'k'<<16 | 'e'<<24 | 'y'<<32 | '"'<<40 | ':'<<48 | '"'<<56
	valueStart  = '"' | ','<<8 | '"'<<16 | 'v'<<24 | 'a'<<32 | 'l'<<40 | 'u'<<48 | 'e'<<56
	valueOpen   = '"' | ':'<<8 | '{'<<16 | '"'<<24
	stringStart = 's' | 't'<<8 | 'r'<<16 | 'i'<<24 | 'n'<<32 | 'g'<<40 | 'V'<<48 | 'a'<<56
	stringOpen  = 'V' | 'a'<<8 | 'l'<<16 | 'u'<<24 | 'e'<<32 | '"'<<40 | ':'<<48 | '"'<<56
	intStart    = 'i' | 'n'<<8 | 't'<<16 | 'V'<<24 | 'a'<<32 | 'l'<<40 | 'u'<<48 | 'e'<<56
)

func load4(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }

const endOfPlainKeyValue = "}}"

// plainString reads the string at d.text[i:], which must be the value of an attribute
// and end it, and writes the value to out[n:]. It returns the indices after both;
// next is 0 if the text is of another form.
func (d *jsonDecoder) plainString(n, i int) (written, next int) {
	end := copyPlain(d.out, n+4, d.text, i)
	if end == failed || len(d.text)-end < 3 || d.text[end] != '"' || string(d.text[end+1:end+3]) != endOfPlainKeyValue {
		return 0, 0
	}
	size := end - i
	out := d.out[n : n+4]
	out[0], out[1], out[2], out[3] = tagValue, byte(size+2), tagString, byte(size)
	return n + 4 + size, end + 3
}

// plainInt is plainString for an integer, with or without quotes.
func (d *jsonDecoder) plainInt(n, i int) (written, next int) {
	v, end := plainInteger(d.text, i)
	if end == 0 || v > math.MaxInt64 || len(d.text)-end < 2 || string(d.text[end:end+2]) != endOfPlainKeyValue {
		return 0, 0
	}
	if len(d.out)-n < jsonSlack {
		return 0, 0
	}
	size := binary.PutUvarint(d.out[n+3:], v)
	out := d.out[n : n+3]
	out[0], out[1], out[2] = tagValue, byte(size+1), tagInt
	return n + 3 + size, end + 2
}
