package otlp

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"
)

// smallIndices holds for each number up to 999 its digits and a comma, as a
// little-endian number.
var smallIndices = func() (texts [1000]uint32) {
	for v := range texts {
		for k, c := range append(strconv.AppendInt(nil, int64(v), 10), ',') {
			texts[v] |= uint32(c) << (8 * k)
		}
	}
	return texts
}()

// appendJSONNumber appends a number, bool or enum; v is in the form of the wire.
func appendJSONNumber(dst []byte, kind jsonKind, v uint64) []byte {
	switch kind {
	case jsonDouble:
		return appendJSONDouble(dst, math.Float64frombits(v))
	case jsonBool:
		return strconv.AppendBool(dst, v != 0)
	case jsonEnum, jsonInt32:
		return appendSigned(dst, int64(int32(v)))
	case jsonSint32:
		return appendSigned(dst, int64(zigzag(v)))
	case jsonUint32, jsonFixed32:
		return appendDecimal(dst, uint64(uint32(v)))
	case jsonInt64, jsonSfixed64:
		return append(appendSigned(append(dst, '"'), int64(v)), '"')
	}
	return append(appendDecimal(append(dst, '"'), v), '"')
}

func appendSigned(dst []byte, v int64) []byte {
	if v < 0 {
		return appendDecimal(append(dst, '-'), -uint64(v))
	}
	return appendDecimal(dst, uint64(v))
}

// appendDecimal is strconv.AppendUint, but processes eight digits at a time.
func appendDecimal(dst []byte, v uint64) []byte {
	if v >= 1e8 {
		dst = appendDecimal(dst, v/1e8)
		return binary.LittleEndian.AppendUint64(dst, decimals(v%1e8)|'0'*ones)
	}
	return appendShort(dst, v)
}

// appendShort is appendDecimal for v below 10⁸.
func appendShort(dst []byte, v uint64) []byte {
	w := decimals(v)
	zeros := bits.TrailingZeros64(w|1<<56) / 8 // leading zeros; the last digit is kept
	return binary.LittleEndian.AppendUint64(dst, (w|'0'*ones)>>(8*zeros))[:len(dst)+8-zeros]
}

// decimals is the inverse of eightDigits: it returns the eight digits of v, which is
// below 10⁸, as values from 0 to 9, the first one in the lowest byte. It splits into
// fours, then pairs, then digits.
func decimals(v uint64) uint64 {
	const (
		perHundred = 10486 // ≈ 2²⁰/100, exact for values below 10⁴
		perTen     = 103   // ≈ 2¹⁰/10, exact for values below 100
	)
	w := v/1e4 | v%1e4<<32
	high := w * perHundred >> 20 & 0x0000007f0000007f
	w = high | (w-100*high)<<16
	high = w * perTen >> 10 & 0x000f000f000f000f
	return high | (w-10*high)<<8
}

// appendJSONDouble appends v in the format of JavaScript and encoding/json.
func appendJSONDouble(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, v, format, -1, 64)
	if n := len(dst); format == 'e' && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}

// appendJSONString appends a string in quotes.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	if isPlainASCII(s) {
		return append(append(dst, s...), '"')
	}
	for i := 0; ; {
		end := plainEnd(s, i)
		dst = appendUTF8(dst, s[i:end])
		if end == len(s) {
			return append(dst, '"')
		}
		dst = appendEscape(dst, s[end])
		i = end + 1
	}
}

// isPlainASCII reports whether s is ASCII that needs no escapes in JSON.
func isPlainASCII(s []byte) bool {
	if len(s) < 8 {
		for _, c := range s {
			if c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
				return false
			}
		}
		return true
	}
	other := uint64(0)
	for i := 0; i+8 < len(s); i += 8 {
		w := load8(s, i)
		other |= textEnds(w) | w&highs
	}
	w := load8(s, len(s)-8) // overlaps the last word
	return other|textEnds(w)|w&highs == 0
}

// appendUTF8 appends s, with U+FFFD for each byte that is not valid UTF-8.
func appendUTF8(dst, s []byte) []byte {
	if utf8.Valid(s) {
		return append(dst, s...)
	}
	for len(s) > 0 {
		r, n := utf8.DecodeRune(s)
		dst = utf8.AppendRune(dst, r)
		s = s[n:]
	}
	return dst
}

func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
}

const hexDigits = "0123456789abcdef"

// appendHex appends the hex digits of s.
func appendHex(dst, s []byte) []byte {
	for ; len(s) >= 4; s = s[4:] {
		// Split each byte in two, the high half first, then turn them into digits,
		// letters for values above 9.
		w := uint64(binary.LittleEndian.Uint32(s))
		w = (w | w<<16) & 0x0000ffff0000ffff
		w = (w | w<<8) & 0x00ff00ff00ff00ff
		w = (w>>4 | w<<8) & (0xf * ones)
		w += '0'*ones + (w+6*ones)>>4&ones*('a'-'9'-1)
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	for _, c := range s {
		dst = append(dst, hexDigits[c>>4], hexDigits[c&0xf])
	}
	return dst
}
