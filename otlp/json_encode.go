package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// AppendJSON appends an export request of signal s, which Check has taken, in
// OTLP's JSON form: lowerCamelCase, ids in hex, 64-bit integers as strings, enums
// as numbers, no white space. Defaults are left out, and what the wire splits or
// repeats is merged, as the official module does. Fields that the protocol does
// not know are left out. Text that is not UTF-8 becomes U+FFFD, since JSON must
// be UTF-8. It allocates nothing but room in dst, unless an embedded message is
// split.
//
// Of a signal that is none of the four it appends null.
func AppendJSON(dst []byte, s Signal, request []byte) []byte {
	if !s.Valid() {
		return append(dst, "null"...)
	}
	return appendJSON(dst, roots[s], request)
}

// AppendResponseJSON appends the response to an export of signal s in JSON: {},
// or {"partialSuccess":{"rejectedSpans":"3","errorMessage":"…"}}.
func AppendResponseJSON(dst []byte, s Signal, response []byte) []byte {
	if !s.Valid() {
		return append(dst, "null"...)
	}
	return appendJSON(dst, responses[s], response)
}

var responses = [5]uint8{
	Traces: msgExportTraceServiceResponse, Metrics: msgExportMetricsServiceResponse,
	Logs: msgExportLogsServiceResponse, Profiles: msgExportProfilesServiceResponse,
}

// jsonNumbers holds for each message and field number the field's position in
// jsonMessages, from 1.
var jsonNumbers = func() (at [numJSONMessages][32]uint8) {
	for m, fields := range jsonMessages {
		for k := range fields {
			at[m][fields[k].num()] = uint8(k + 1)
		}
	}
	return at
}()

// jsonEncoder writes messages in one of two ways: as they come, which is right
// for what nearly all senders write, or merged, which takes a look ahead. Who
// comes upon something that has to be merged makes it start again with merge set.
type jsonEncoder struct {
	merge bool
}

func appendJSON(dst []byte, message uint8, b []byte) []byte {
	var e jsonEncoder
	out := e.message(dst, message, b, 0)
	if e.merge {
		out = e.message(dst, message, b, 0)
	}
	return out
}

// message and those it calls call themselves for the messages inside, of which
// there are no more than maxFrames around each other in a request that Check has
// taken.
func (e *jsonEncoder) message(dst []byte, message uint8, b []byte, depth int) []byte {
	switch {
	case depth > maxFrames:
		return append(dst, "{}"...)
	case e.merge:
		return e.merged(dst, message, b, depth)
	}
	return e.streamed(dst, message, b, depth)
}

// streamed writes fields in the order of the wire. It asks for merging if a field
// comes again that is no list, or a list after something else, or two members of
// a oneof.
func (e *jsonEncoder) streamed(dst []byte, message uint8, b []byte, depth int) []byte {
	const aMember = 1 << 0 // in seen: of the oneof; no field has the number 0
	seen, list := uint32(0), uint32(0)
	dst = append(dst, '{')
	open := len(dst)
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		if c.Num >= 32 || jsonNumbers[message][c.Num] == 0 {
			continue
		}
		f := &jsonMessages[message][jsonNumbers[message][c.Num]-1]
		if f.packsNothing(&c) {
			continue
		}
		if c.Num == list {
			dst = e.element(append(dst, ','), f, &c, depth)
			continue
		}
		if list != 0 {
			dst, list = append(dst, ']'), 0
		}
		bit := uint32(1) << c.Num
		if f.form == formOneof {
			bit |= aMember
		}
		if seen&bit != 0 {
			e.merge = true
			return dst
		}
		seen |= bit
		before := len(dst)
		if before > open {
			dst = append(dst, ',')
		}
		dst = append(dst, f.key...)
		wrote := true
		switch {
		case f.form == formList:
			dst, list = e.element(append(dst, '['), f, &c, depth), c.Num
		case f.kind == jsonMessage:
			dst = e.message(dst, f.arg, c.Bytes, depth+1)
		default:
			dst, wrote = appendJSONScalar(dst, f, &c)
		}
		if !wrote {
			dst = dst[:before]
		}
	}
	if list != 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// packsNothing says whether c stands on a packed list, f, without elements.
func (f *jsonField) packsNothing(c *wire.Cursor) bool {
	return c.Type == wire.TypeBytes && len(c.Bytes) == 0 && f.form == formList && f.wireType() != wire.TypeBytes
}

// element appends the element of a list that c stands on, or the elements if it
// is packed, of which there is one at least.
func (e *jsonEncoder) element(dst []byte, f *jsonField, c *wire.Cursor, depth int) []byte {
	switch {
	case f.kind == jsonMessage:
		return e.message(dst, f.arg, c.Bytes, depth+1)
	case f.kind == jsonString:
		return appendJSONString(dst, c.Bytes)
	case c.Type == wire.TypeBytes:
		return appendJSONPacked(dst, f, c.Bytes)
	}
	return appendJSONNumber(dst, f.kind, c.Scalar)
}

// jsonPlace is where a field occurs in a message.
type jsonPlace struct {
	first, last int32 // where its first and its last occurrence begin
	end         int32 // of the last; 0 if there is none
}

// jsonPlaces holds the places of a message's fields by number.
type jsonPlaces [32]jsonPlace

// find fills in the places. Of a oneof the member that comes last stays, with
// those of its occurrences that no other member came after.
func (p *jsonPlaces) find(message uint8, b []byte) {
	member := uint32(0)
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		if c.Num >= uint32(len(p)) || jsonNumbers[message][c.Num] == 0 {
			continue
		}
		f := &jsonMessages[message][jsonNumbers[message][c.Num]-1]
		if f.form == formOneof && member != c.Num {
			p[member] = jsonPlace{}
			member = c.Num
		}
		at := &p[c.Num]
		if at.end == 0 {
			at.first = int32(c.Start)
		}
		at.last, at.end = int32(c.Start), int32(c.End)
	}
}

// merged writes fields in the order of the descriptors.
func (e *jsonEncoder) merged(dst []byte, message uint8, b []byte, depth int) []byte {
	var places jsonPlaces
	places.find(message, b)
	dst = append(dst, '{')
	open := len(dst)
	for k := range jsonMessages[message] {
		f := &jsonMessages[message][k]
		at := places[f.num()]
		if at.end == 0 {
			continue
		}
		before := len(dst)
		if before > open {
			dst = append(dst, ',')
		}
		dst = append(dst, f.key...)
		wrote := true
		switch {
		case f.form == formList:
			dst, wrote = e.list(dst, f, b[at.first:at.end], depth)
		case f.kind == jsonMessage:
			dst = e.message(dst, f.arg, wire.Merged(b[at.first:at.end], f.num()), depth+1)
		default:
			c := wire.Cursor{Buf: b, End: int(at.last)}
			c.Next()
			dst, wrote = appendJSONScalar(dst, f, &c)
		}
		if !wrote {
			dst = dst[:before]
		}
	}
	return append(dst, '}')
}

// list appends the elements of f that are in b, among other fields. It says
// whether there are any.
func (e *jsonEncoder) list(dst []byte, f *jsonField, b []byte, depth int) (out []byte, wrote bool) {
	dst = append(dst, '[')
	open := len(dst)
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		if c.Num != f.num() || f.packsNothing(&c) {
			continue
		}
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = e.element(dst, f, &c, depth)
	}
	return append(dst, ']'), len(dst) > open
}

// appendJSONPacked appends the elements of a packed list, separated by commas.
func appendJSONPacked(dst []byte, f *jsonField, b []byte) []byte {
	for comma := false; len(b) > 0; comma = true {
		var v uint64
		n := 8
		switch {
		case f.wireType() != wire.TypeFixed64:
			v, n = binary.Uvarint(b)
		case len(b) >= n:
			v = binary.LittleEndian.Uint64(b)
		}
		if comma {
			dst = append(dst, ',')
		}
		dst = appendJSONNumber(dst, f.kind, v)
		if n <= 0 || n > len(b) {
			break // what Check would have refused
		}
		b = b[n:]
	}
	return dst
}

// appendJSONScalar appends the value that c stands on, unless it is a default
// that says nothing.
func appendJSONScalar(dst []byte, f *jsonField, c *wire.Cursor) (out []byte, wrote bool) {
	sparse := f.form == formPlain
	switch f.kind {
	case jsonString, jsonBytes, jsonHex:
		if sparse && len(c.Bytes) == 0 {
			return dst, false
		}
	default:
		if sparse && isDefault(f.kind, c.Scalar) {
			return dst, false
		}
		return appendJSONNumber(dst, f.kind, c.Scalar), true
	}
	switch f.kind {
	case jsonString:
		return appendJSONString(dst, c.Bytes), true
	case jsonHex:
		return append(hex.AppendEncode(append(dst, '"'), c.Bytes), '"'), true
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), c.Bytes), '"'), true
}

// isDefault says whether v is the zero of its kind. Of a 32-bit integer only the
// low half counts.
func isDefault(kind jsonKind, v uint64) bool {
	switch kind {
	case jsonEnum, jsonInt32, jsonSint32, jsonUint32:
		return uint32(v) == 0
	}
	return v == 0
}

// appendJSONNumber appends a value that is no string, as the wire has it.
func appendJSONNumber(dst []byte, kind jsonKind, v uint64) []byte {
	switch kind {
	case jsonDouble:
		return appendJSONDouble(dst, math.Float64frombits(v))
	case jsonBool:
		return strconv.AppendBool(dst, v != 0)
	case jsonEnum, jsonInt32:
		if v < 1000 {
			return appendDecimal(dst, v)
		}
		return strconv.AppendInt(dst, int64(int32(v)), 10)
	case jsonSint32:
		return strconv.AppendInt(dst, int64(zigzag(v)), 10)
	case jsonUint32, jsonFixed32:
		return appendDecimal(dst, uint64(uint32(v)))
	case jsonInt64, jsonSfixed64:
		return append(strconv.AppendInt(append(dst, '"'), int64(v), 10), '"')
	}
	return append(appendDecimal(append(dst, '"'), v), '"')
}

// appendDecimal is strconv.AppendUint, with a short cut for small numbers, as
// indices and counts are.
func appendDecimal(dst []byte, v uint64) []byte {
	switch {
	case v < 10:
		return append(dst, '0'+byte(v))
	case v < 100:
		return append(dst, '0'+byte(v/10), '0'+byte(v%10))
	case v < 1000:
		return append(dst, '0'+byte(v/100), '0'+byte(v/10%10), '0'+byte(v%10))
	}
	return strconv.AppendUint(dst, v, 10)
}

// appendJSONDouble appends v as JavaScript and encoding/json write it.
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

// appendUTF8 appends s, with U+FFFD for each byte that is not UTF-8.
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
	const digits = "0123456789abcdef"
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
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&0xf])
}
