package otlp

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// Nine of ten fields of real telemetry are attributes of one shape:
//
//	{"key":"…","value":{"stringValue":"…"}}
//
// or an intValue. They are recognised by eight bytes at a time and written with
// lengths that are known ahead. What is not recognised is left to the walk: white
// space, another order, escapes, other values, and what is wrong.

// plainKeyValues reads such attributes for as long as one follows the other, and
// returns the index behind the last; i if there is none.
func (d *jsonDecoder) plainKeyValues(fr *jsonFrame, tag uint8, i int) int {
	for next := d.plainKeyValue(tag, i); next != 0; fr.index++ {
		i = next
		if i == len(d.text) || d.text[i] != ',' {
			break
		}
		if next = d.plainKeyValue(tag, i+1); next == 0 {
			break
		}
	}
	return i
}

// plainKeyValue reads one attribute and returns the index behind it, or 0.
func (d *jsonDecoder) plainKeyValue(tag uint8, i int) int {
	b := d.text
	if len(b)-i < 8 || load8(b, i) != keyStart {
		return 0
	}
	key := i + len(`{"key":"`)
	keyEnd := plainEnd(b, key)
	value := keyEnd + len(`","value":{"`)
	if len(b)-value < 16 || load8(b, keyEnd) != valueStart || load4(b, value-4) != valueOpen {
		return 0
	}
	switch load8(b, value) {
	case stringStart:
		if load8(b, value+6) == stringOpen {
			return d.plainString(tag, b[key:keyEnd], value+14)
		}
	case intStart:
		if b[value+8] == '"' && b[value+9] == ':' {
			return d.plainInt(tag, b[key:keyEnd], value+10)
		}
	}
	return 0
}

// The text of the shape, as load8 and load4 see it.
const (
	keyStart    = '{' | '"'<<8 | 'k'<<16 | 'e'<<24 | 'y'<<32 | '"'<<40 | ':'<<48 | '"'<<56
	valueStart  = '"' | ','<<8 | '"'<<16 | 'v'<<24 | 'a'<<32 | 'l'<<40 | 'u'<<48 | 'e'<<56
	valueOpen   = '"' | ':'<<8 | '{'<<16 | '"'<<24
	stringStart = 's' | 't'<<8 | 'r'<<16 | 'i'<<24 | 'n'<<32 | 'g'<<40 | 'V'<<48 | 'a'<<56
	stringOpen  = 'V' | 'a'<<8 | 'l'<<16 | 'u'<<24 | 'e'<<32 | '"'<<40 | ':'<<48 | '"'<<56
	intStart    = 'i' | 'n'<<8 | 't'<<16 | 'V'<<24 | 'a'<<32 | 'l'<<40 | 'u'<<48 | 'e'<<56
)

func load4(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[i:]) }

// The tags inside a KeyValue and its AnyValue.
const (
	tagKey, tagValue   = 1<<3 | 2, 2<<3 | 2
	tagString, tagInt  = 1<<3 | 2, 3 << 3
	endOfPlainKeyValue = "}}"
)

// plainString writes an attribute whose string begins at d.text[i:].
func (d *jsonDecoder) plainString(tag uint8, key []byte, i int) int {
	end := plainEnd(d.text, i)
	if len(d.text)-end < 3 || d.text[end] != '"' || string(d.text[end+1:end+3]) != endOfPlainKeyValue {
		return 0
	}
	text := d.text[i:end]
	inner := 1 + wire.SizeVarint(uint64(len(text))) + len(text)
	if !d.putKey(tag, key, inner) {
		return 0
	}
	d.out[d.n] = tagString
	d.n++
	d.putVarint(uint64(len(text)))
	d.n += copy(d.out[d.n:], text)
	return end + 3
}

// plainInt writes an attribute whose integer begins at d.text[i:], in quotes or
// without.
func (d *jsonDecoder) plainInt(tag uint8, key []byte, i int) int {
	v, end := plainInteger(d.text, i)
	if end == 0 || len(d.text)-end < 2 || string(d.text[end:end+2]) != endOfPlainKeyValue {
		return 0
	}
	if !d.putKey(tag, key, 1+wire.SizeVarint(v)) {
		return 0
	}
	d.out[d.n] = tagInt
	d.n++
	d.putVarint(v)
	return end + 2
}

// putKey writes an attribute up to its value, which takes inner bytes, if there
// is room for all of it.
func (d *jsonDecoder) putKey(tag uint8, key []byte, inner int) bool {
	size := 1 + wire.SizeVarint(uint64(len(key))) + len(key) + 1 + wire.SizeVarint(uint64(inner)) + inner
	if len(d.out)-d.n < size+jsonSlack {
		return false
	}
	d.putTag(tag)
	d.putVarint(uint64(size))
	d.out[d.n] = tagKey
	d.n++
	d.putVarint(uint64(len(key)))
	d.n += copy(d.out[d.n:], key)
	d.out[d.n] = tagValue
	d.n++
	d.putVarint(uint64(inner))
	return true
}
