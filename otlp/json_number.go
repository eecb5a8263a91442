package otlp

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

var (
	errNumber   = errors.New("malformed number")
	errIntegral = errors.New("number is not an integer or does not fit in 64 bits")
	errRange    = errors.New("number out of range for a double")
)

// integer reads an integer, with or without quotes, and returns its absolute value
// and sign.
func (d *jsonDecoder) integer(i int) (mag uint64, neg bool, next int) {
	b, k := d.text, i
	quoted := k < len(b) && b[k] == '"'
	if quoted {
		k++
	}
	if k < len(b) && b[k] == '-' {
		neg = true
		k++
	}
	start := k
	mag, k = digits(b, k)
	if k < len(b) && k > start && (b[start] != '0' || k == start+1) {
		switch c := b[k]; {
		case quoted && c == '"':
			return mag, neg, k + 1
		case !quoted && c != '.' && c|0x20 != 'e' && c-'0' > 9:
			return mag, neg, k
		}
	}
	return d.longInteger(i)
}

// plainInteger is the fast path for integers of at most 19 digits, with or without
// quotes. next is 0 if b[i:] does not begin with one, or less than 32 bytes are left.
func plainInteger(b []byte, i int) (v uint64, next int) {
	if len(b)-i < 32 {
		return 0, 0
	}
	quoted := b[i] == '"'
	if quoted {
		i++
	}
	w := load8(b, i)
	n := digitCount(w)
	if n == 0 || byte(w) == '0' && n > 1 {
		return 0, 0
	}
	v = leadingDigits(w, n)
	end := i + n
	for n == 8 && end < i+24 {
		w = load8(b, end)
		if n = digitCount(w); n > 0 {
			v = v*tens[n] + leadingDigits(w, n)
			end += n
		}
	}
	if end > i+19 {
		return 0, 0
	}
	switch c := b[end]; {
	case quoted && c == '"':
		return v, end + 1
	case quoted, c == '.', c|0x20 == 'e':
		return 0, 0
	}
	return v, end
}

// digits reads up to 19 digits, which always fit in a uint64.
func digits(b []byte, i int) (v uint64, next int) {
	end := min(len(b), i+19)
	for i+8 <= end {
		w := load8(b, i)
		n := digitCount(w)
		if n == 0 {
			return v, i
		}
		v = v*tens[n] + leadingDigits(w, n)
		if i += n; n < 8 {
			return v, i
		}
	}
	for ; i < end && b[i]-'0' <= 9; i++ {
		v = v*10 + uint64(b[i]-'0')
	}
	return v, i
}

// digitCount returns how many bytes of w, from the lowest on, are digits.
func digitCount(w uint64) int {
	// A digit is 0x30 to 0x39: its high half is 3, and is still 3 after 6 is added.
	// For other bytes, bits remain set.
	other := (w&(0xf0*ones) | (w+6*ones)&(0xf0*ones)>>4) ^ 0x33*ones
	return bits.TrailingZeros64(other) / 8
}

// leadingDigits returns the number that the first n bytes of w represent. They must
// be digits; n is 1 to 8.
func leadingDigits(w uint64, n int) uint64 {
	// The shift puts zeros before the digits and removes the bytes after them.
	return eightDigits((w ^ '0'*ones) << ((64 - 8*n) & 63))
}

var tens = [...]uint64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19}

// eightDigits returns the number that the eight digits of w represent. They are
// values from 0 to 9, the first one in the lowest byte. It combines pairs, then
// pairs of pairs, then those.
func eightDigits(w uint64) uint64 {
	w = w*10 + (w >> 8)
	const pairs = 0x000000ff000000ff
	return ((w&pairs)*(100+1_000_000<<32) + (w>>16&pairs)*(1+10_000<<32)) >> 32
}

// longInteger is integer for everything else: fractions, exponents, escapes,
// twenty digits and errors.
func (d *jsonDecoder) longInteger(i int) (mag uint64, neg bool, next int) {
	n, next := d.literalNumber(i)
	if next == failed {
		return 0, false, failed
	}
	mag, ok := n.integer()
	if !ok {
		return 0, false, d.fail(i, errIntegral)
	}
	return mag, n.neg, next
}

// plainIntegers reads and writes elements of a list of integers as long as
// plainInteger can read them. It returns the index of the next element, or the
// index after the list if there is none.
func (d *jsonDecoder) plainIntegers(f *jsonField, i int) (next int, more bool) {
	limit, fixed := integerLimits[f.kind].max, f.wireType() == wire.TypeFixed64
	b := d.text
	for d.fits(0) {
		if !fixed {
			if i, more = d.smallIntegers(i); !more {
				return i, false
			}
			i = skipSpace(b, i)
		}
		v, next := plainInteger(b, i)
		if next == 0 || v > limit {
			break
		}
		if fixed {
			binary.LittleEndian.PutUint64(d.out[d.n:], v)
			d.n += 8
		} else {
			d.putVarint(v)
		}
		switch b[next] {
		case ',':
			i = skipSpace(b, next+1)
		case ']':
			return next + 1, false
		default:
			return d.comma(next)
		}
	}
	return i, true
}

// smallIntegers is plainIntegers for integers of at most seven digits, without
// quotes and white space after them. It leaves space for one more.
func (d *jsonDecoder) smallIntegers(i int) (next int, more bool) {
	b, out, n := d.text, d.out, d.n
	for more = true; more && i+8 <= len(b) && n+jsonSlack < len(out); {
		w := load8(b, i)
		k := digitCount(w)
		after := byte(w >> (8 * k & 63)) // after eight digits it is the first digit, which ends the loop
		if k == 0 || after != ',' && after != ']' || byte(w) == '0' && k > 1 {
			break
		}
		v := leadingDigits(w, k)
		if v < 1<<14 {
			// One or two bytes, without a branch that cannot be predicted.
			two := int((v + 1<<14 - 1<<7) >> 14)
			binary.LittleEndian.PutUint16(out[n:], uint16(v&0x7f|v>>7<<8|uint64(two)<<7))
			n += 1 + two
		} else {
			n += binary.PutUvarint(out[n:], v)
		}
		i += k + 1
		more = after == ','
	}
	d.n = n
	return i, more
}

// double reads a double: a number, with or without quotes, or the name of NaN or of
// an infinity.
func (d *jsonDecoder) double(i int) (v float64, next int) {
	if v, next = plainDouble(d.text, i); next != 0 {
		return v, next
	}
	n, next := d.literalNumber(i)
	if next == failed {
		return d.notANumber(i)
	}
	v, ok := n.double()
	if !ok {
		return 0, d.fail(i, errRange)
	}
	return v, next
}

// plainDouble is the fast path for doubles of digits with or without a decimal
// point, few enough to be exact. next is 0 if b[i:] does not begin with one.
func plainDouble(b []byte, i int) (v float64, next int) {
	neg := i < len(b) && b[i] == '-'
	if neg {
		i++
	}
	whole, point := digits(b, i)
	if point == len(b) || point == i || b[i] == '0' && point != i+1 {
		return 0, 0
	}
	mag, end, n := whole, point, 0
	if b[point] == '.' {
		var frac uint64
		frac, end = digits(b, point+1)
		n = end - point - 1
		if n == 0 || n > 15 || point-i > 15 || end == len(b) {
			return 0, 0
		}
		mag = whole*tens[n] + frac
	}
	// The result is rounded once (William Clinger, "How to Read Floating Point Numbers
	// Accurately"). Sixteen digits can exceed 2⁵³, but only without a point.
	if c := b[end]; end-i > 16 || c-'0' <= 9 || c|0x20 == 'e' {
		return 0, 0
	}
	v = float64(mag) / powersOfTen[n]
	if neg {
		v = -v
	}
	return v, end
}

// notANumber reads the name of NaN or of an infinity. For other text it keeps the
// error of literalNumber.
func (d *jsonDecoder) notANumber(i int) (v float64, next int) {
	err, at := d.err, d.at
	s, next := d.content(i, "a number")
	if next != failed {
		switch string(s) {
		case "NaN":
			return math.NaN(), next
		case "Infinity":
			return math.Inf(1), next
		case "-Infinity":
			return math.Inf(-1), next
		}
	}
	return 0, d.fail(at, err)
}

// jsonNumber is the parts of a JSON number.
type jsonNumber struct {
	neg   bool
	whole []byte // the digits before the point; empty if that is 0
	frac  []byte // the digits after the point, without trailing zeros
	exp   int    // from -maxExponent to maxExponent
}

// maxExponent limits exponents. It is beyond the exponent of any number other than
// 0 that is in range.
const maxExponent = math.MaxInt32

// literalNumber reads a number, with or without quotes.
func (d *jsonDecoder) literalNumber(i int) (n jsonNumber, next int) {
	if i >= len(d.text) || d.text[i] != '"' {
		n, next = splitNumber(d.text, i)
		if next == i {
			return n, d.badNumber(i)
		}
		return n, next
	}
	s, next := d.content(i, "a number")
	if next == failed {
		return n, failed
	}
	if n, end := splitNumber(s, 0); end != len(s) || end == 0 {
		return n, d.fail(i, errNumber)
	} else {
		return n, next
	}
}

func (d *jsonDecoder) badNumber(i int) int {
	if i < len(d.text) && (d.text[i] == '-' || d.text[i]-'0' <= 9) {
		return d.fail(i, errNumber)
	}
	return d.expected(i, "a number")
}

// splitNumber reads a number in the grammar of JSON. next is i if b[i:] does not
// begin with one.
func splitNumber(b []byte, i int) (n jsonNumber, next int) {
	k := i
	if k < len(b) && b[k] == '-' {
		n.neg = true
		k++
	}
	start := k
	k = digitsEnd(b, k)
	if k == start || b[start] == '0' && k > start+1 {
		return n, i
	}
	if b[start] != '0' {
		n.whole = b[start:k]
	}
	if k < len(b) && b[k] == '.' {
		start = k + 1
		if k = digitsEnd(b, start); k == start {
			return n, i
		}
		n.frac = trimZeros(b[start:k])
	}
	if k < len(b) && b[k]|0x20 == 'e' {
		if n.exp, k = exponent(b, k+1); k == 0 {
			return n, i
		}
	}
	return n, k
}

// exponent reads the exponent after an e; next is 0 if there is none.
func exponent(b []byte, i int) (exp, next int) {
	neg := i < len(b) && b[i] == '-'
	if neg || i < len(b) && b[i] == '+' {
		i++
	}
	start := i
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		exp = min(exp*10+int(b[i]-'0'), maxExponent)
	}
	if i == start {
		return 0, 0
	}
	if neg {
		exp = -exp
	}
	return exp, i
}

func digitsEnd(b []byte, i int) int {
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

// integer returns the absolute value of the number if it is an integer of at most
// 64 bits.
func (n *jsonNumber) integer() (mag uint64, ok bool) {
	const maxDigits = 20 // of the largest
	if len(n.whole) == 0 && len(n.frac) == 0 {
		return 0, true
	}
	shift := n.exp - len(n.frac) // zeros that follow the digits
	whole := n.whole
	switch {
	case len(whole)+n.exp > maxDigits:
		return 0, false
	case shift < 0 && len(n.frac) > 0:
		return 0, false
	case shift < 0:
		keep := len(whole) + shift
		if keep <= 0 || len(trimZeros(whole)) > keep {
			return 0, false
		}
		whole, shift = whole[:keep], 0
	}
	ok = true
	add := func(c byte) {
		ok = ok && mag <= (math.MaxUint64-uint64(c))/10
		mag = mag*10 + uint64(c)
	}
	for _, c := range whole {
		add(c - '0')
	}
	for _, c := range n.frac {
		add(c - '0')
	}
	for range shift {
		add(0)
	}
	return mag, ok
}

// powersOfTen are exact.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
