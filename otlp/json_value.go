package otlp

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// scalar reads and writes the value of a field that is neither a message nor a list.
func (d *jsonDecoder) scalar(fr *jsonFrame, f *jsonField, i int) int {
	// The default is written only if it replaces an earlier value.
	bit := uint32(1) << f.num()
	sparse := f.form == formPlain && fr.seen&bit == 0
	fr.seen |= bit
	switch f.kind {
	case jsonString:
		return d.string(f.tag, sparse, i)
	case jsonHex:
		return d.hex(f, sparse, i)
	case jsonBytes:
		return d.base64(f.tag, sparse, i)
	}
	v, next := d.number(f, i)
	if next == failed || v == 0 && sparse {
		return next
	}
	if !d.ensure(0) {
		return failed
	}
	d.putTag(f.tag)
	d.putScalar(f, v)
	return next
}

// list reads and writes the elements of a list of values that are not messages.
// Numbers are written packed.
func (d *jsonDecoder) list(f *jsonField, i int) int {
	if i = skipSpace(d.text, i); i < len(d.text) && d.text[i] == ']' {
		return i + 1
	}
	if f.kind == jsonString {
		return d.strings(f, i)
	}
	if !d.ensure(0) {
		return failed
	}
	d.putTag(f.packedTag())
	kept := d.packedWidth
	d.n += kept
	mark := d.n
	more := true
	if f.kind > jsonSint32 || f.kind == jsonInt32 {
		i, more = d.plainIntegers(f, i)
	}
	for more {
		v, next := d.number(f, i)
		if next == failed || !d.ensure(0) || next >= d.lookAt && d.looks(next) == failed {
			return failed
		}
		d.putScalar(f, v)
		if i, more = d.comma(next); i == failed {
			return failed
		}
	}
	if d.packedWidth = d.closeLength(mark, kept, false); d.packedWidth == 0 {
		return failed
	}
	return i
}

// strings reads and writes the elements of a list of strings that is not empty.
func (d *jsonDecoder) strings(f *jsonField, i int) int {
	for more := true; more; {
		if i < len(d.text) && d.text[i] == 'n' {
			i = d.null(f, i)
		} else {
			i = d.string(f.tag, false, i)
		}
		if i == failed || i >= d.lookAt && d.looks(i) == failed {
			return failed
		}
		if i, more = d.comma(i); i == failed {
			return failed
		}
	}
	return i
}

// comma reads what follows an element of a list, and reports whether there is
// another element.
func (d *jsonDecoder) comma(i int) (next int, more bool) {
	i = skipSpace(d.text, i)
	if i < len(d.text) {
		switch d.text[i] {
		case ',':
			return skipSpace(d.text, i+1), true
		case ']':
			return i + 1, false
		}
	}
	return d.expected(i, "a comma or the end of the list"), false
}

// number reads a number, bool or enum and returns it in the form of the wire: the
// bits of a double, or an integer with its sign extended to 64 bits.
func (d *jsonDecoder) number(f *jsonField, i int) (v uint64, next int) {
	switch f.kind {
	case jsonDouble:
		x, next := d.double(i)
		return math.Float64bits(x), next
	case jsonBool:
		return d.bool(i)
	case jsonEnum:
		if i < len(d.text) && d.text[i] == '"' {
			return d.enumName(f, i)
		}
	}
	limit := &integerLimits[f.kind]
	if v, next = plainInteger(d.text, i); next != 0 && v <= limit.max && f.kind != jsonSint32 {
		return v, next
	}
	mag, neg, next := d.integer(i)
	if next == failed {
		return 0, failed
	}
	if !neg && mag > limit.max || neg && mag > limit.min {
		return 0, d.fail(i, fmt.Errorf("number out of range for %s", limit.name))
	}
	if neg {
		mag = -mag
	}
	if f.kind == jsonSint32 {
		mag = unzigzag(int32(mag))
	}
	return mag, next
}

// integerLimits holds the largest number of each kind, and the absolute value of
// the smallest.
var integerLimits = [...]struct {
	max, min uint64
	name     string
}{
	jsonEnum:     {math.MaxInt32, 1 << 31, "an enum"},
	jsonInt32:    {math.MaxInt32, 1 << 31, "an int32"},
	jsonSint32:   {math.MaxInt32, 1 << 31, "an int32"},
	jsonUint32:   {math.MaxUint32, 0, "a uint32"},
	jsonFixed32:  {math.MaxUint32, 0, "a uint32"},
	jsonInt64:    {math.MaxInt64, 1 << 63, "an int64"},
	jsonSfixed64: {math.MaxInt64, 1 << 63, "an int64"},
	jsonUint64:   {math.MaxUint64, 0, "a uint64"},
	jsonFixed64:  {math.MaxUint64, 0, "a uint64"},
}

func (d *jsonDecoder) bool(i int) (v uint64, next int) {
	if i < len(d.text) {
		switch d.text[i] {
		case 't':
			return 1, d.literal(i, "true")
		case 'f':
			return 0, d.literal(i, "false")
		}
	}
	return 0, d.expected(i, "true or false")
}

// enumName reads the name of an enum value.
func (d *jsonDecoder) enumName(f *jsonField, i int) (v uint64, next int) {
	name, next := d.content(i, "a name")
	if next == failed {
		return 0, failed
	}
	for _, e := range jsonEnums[f.arg] {
		if e.name == string(name) {
			return uint64(e.number), next
		}
	}
	return 0, d.fail(i, fmt.Errorf("unknown enum value %q", name))
}

// literal reads null, true or false.
func (d *jsonDecoder) literal(i int, word string) int {
	if i+len(word) <= len(d.text) && string(d.text[i:i+len(word)]) == word {
		return i + len(word)
	}
	return d.expected(i, word)
}

// ensure reports whether the output buffer has space for n bytes and jsonSlack more,
// which is enough for a tag and any length or value other than a string. If not, it
// sets the error.
func (d *jsonDecoder) ensure(n int) bool {
	if d.fits(n) {
		return true
	}
	d.err = ErrShortBuffer
	return false
}

// fits is ensure without the error.
func (d *jsonDecoder) fits(n int) bool { return len(d.out)-d.n >= n+jsonSlack }

// putTag writes a tag, which takes two bytes if the field number is above 15.
func (d *jsonDecoder) putTag(tag uint8) {
	d.out[d.n] = tag
	d.n++
	if tag >= 0x80 {
		d.out[d.n] = 1
		d.n++
	}
}

func (d *jsonDecoder) putVarint(v uint64) {
	for v >= 0x80 {
		d.out[d.n] = byte(v) | 0x80
		d.n++
		v >>= 7
	}
	d.out[d.n] = byte(v)
	d.n++
}

// putScalar writes a number without its tag.
func (d *jsonDecoder) putScalar(f *jsonField, v uint64) {
	switch f.wireType() {
	case wire.TypeFixed64:
		binary.LittleEndian.PutUint64(d.out[d.n:], v)
		d.n += 8
	case wire.TypeFixed32:
		binary.LittleEndian.PutUint32(d.out[d.n:], uint32(v))
		d.n += 4
	default:
		d.putVarint(v)
	}
}
