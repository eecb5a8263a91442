package debugexporter

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/otlp"
)

// kindNames are the Collector's names for the members of AnyValue.
var kindNames = [...]string{
	otlp.KindEmpty: "Empty", otlp.KindString: "Str", otlp.KindBool: "Bool", otlp.KindInt: "Int",
	otlp.KindDouble: "Double", otlp.KindArray: "Slice", otlp.KindMap: "Map", otlp.KindBytes: "Bytes",
}

// typed prints a value with its type: Str(checkout).
func (t *text) typed(v otlp.Value) *text {
	return t.s(kindNames[v.Kind()]).s("(").value(v).s(")")
}

// value prints strings without quotes, bytes in base64, lists and maps as JSON.
func (t *text) value(v otlp.Value) *text {
	switch v.Kind() {
	case otlp.KindEmpty:
		return t
	case otlp.KindString:
		return t.str(v.Text())
	}
	return t.json(v, 0)
}

// json recurses into nested values. otlp.Check limits the depth.
func (t *text) json(v otlp.Value, depth int) *text {
	if t.full || depth > otlp.MaxDepth {
		return t
	}
	switch v.Kind() {
	case otlp.KindString:
		return t.s(`"`).jsonString(v.Text()).s(`"`)
	case otlp.KindBool:
		return t.bool(v.Bool())
	case otlp.KindInt:
		return t.int(v.Int())
	case otlp.KindDouble:
		return t.double(v.Double())
	case otlp.KindBytes:
		if depth == 0 {
			return t.base64(v.Text())
		}
		return t.s(`"`).base64(v.Text()).s(`"`)
	case otlp.KindArray:
		sep := "["
		for e := range v.Array() {
			if t.s(sep).json(e, depth+1).full {
				break
			}
			sep = ","
		}
		return t.s(strings.TrimSuffix(sep, ",")).s("]")
	case otlp.KindMap:
		sep := "{"
		for k, e := range v.Map() {
			if t.s(sep).s(`"`).jsonString(k).s(`":`).json(e, depth+1).full {
				break
			}
			sep = ","
		}
		return t.s(strings.TrimSuffix(sep, ",")).s("}")
	}
	return t.s("null")
}

// jsonString escapes as in JSON, and also characters that could affect a
// terminal. Invalid UTF-8 becomes U+FFFD, since JSON cannot represent it.
func (t *text) jsonString(s []byte) *text {
	for len(s) > 0 && !t.full {
		r, size := utf8.DecodeRune(s)
		switch {
		case r == '"' || r == '\\':
			t.s(`\`).bytes(s[:1])
		case r != utf8.RuneError && strconv.IsPrint(r):
			t.bytes(s[:size])
		case r == '\n':
			t.s(`\n`)
		case r == '\t':
			t.s(`\t`)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			t.unicode(high).unicode(low)
		default:
			t.unicode(r)
		}
		s = s[size:]
	}
	return t
}

func (t *text) unicode(r rune) *text {
	return t.bytes(append(t.small[:0], '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15]))
}

func (t *text) base64(b []byte) *text {
	var chunk [256]byte
	for len(b) > 0 && !t.full {
		n := min(len(b), len(chunk)/4*3)
		t.bytes(base64.StdEncoding.AppendEncode(chunk[:0], b[:n]))
		b = b[n:]
	}
	return t
}

// double prints a number in the format of protobuf's JSON mapping.
func (t *text) double(v float64) *text {
	switch {
	case math.IsNaN(v):
		return t.s("NaN")
	case math.IsInf(v, 1):
		return t.s("Infinity")
	case math.IsInf(v, -1):
		return t.s("-Infinity")
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return t.bytes(strconv.AppendFloat(t.small[:0], v, format, -1, 64))
}
