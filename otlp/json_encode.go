package otlp

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// AppendJSON appends an export request of signal s, which Check accepted, in the
// JSON encoding of OTLP: names in lowerCamelCase, ids in hex, 64-bit integers as
// strings, enums as numbers, no white space. Like the official module, it omits
// defaults and merges fields that are split or repeated on the wire. It omits
// unknown fields. Text that is not valid UTF-8 becomes U+FFFD, since JSON must be
// UTF-8. It allocates only to grow dst, unless a nested message is split.
//
// If s is not valid, it appends null.
func AppendJSON(dst []byte, s Signal, request []byte) []byte {
	if !s.Valid() {
		return append(dst, "null"...)
	}
	return appendJSON(dst, roots[s], request, nil)
}

// AppendResponseJSON appends the response to an export of signal s in JSON: {} or
// {"partialSuccess":{"rejectedSpans":"3","errorMessage":"…"}}.
func AppendResponseJSON(dst []byte, s Signal, response []byte) []byte {
	if !s.Valid() {
		return append(dst, "null"...)
	}
	return appendJSON(dst, responses[s], response, nil)
}

var responses = [5]uint8{
	Traces: msgExportTraceServiceResponse, Metrics: msgExportMetricsServiceResponse,
	Logs: msgExportLogsServiceResponse, Profiles: msgExportProfilesServiceResponse,
}

// jsonNumbers holds for each message and field number the position of the field in
// jsonMessages, from 1; 0 means unknown.
var jsonNumbers = func() (at [numJSONMessages][32]uint8) {
	for m, fields := range jsonMessages {
		for k := range fields {
			at[m][fields[k].num()] = uint8(k + 1)
		}
	}
	return at
}()

// jsonEncoder writes messages in one of two ways: streamed, in the order of the
// wire, which is correct for the messages of nearly all senders, or merged, which
// needs to search the message first. If a field has to be merged in a streamed
// message, the message is written again, and from then on all messages of its type
// are merged. With hostile nesting this could be repeated at each level. Therefore,
// when the discarded output corresponds to as many bytes as the request has, the
// encoder starts again and merges all messages.
type jsonEncoder struct {
	merge  [numJSONMessages]bool // which types of messages are merged
	retry  int                   // how many bytes of the request may still be encoded again
	giveUp bool                  // none are left; the output is to be discarded
	mem    Memory                // where the text grows; nil: on the heap
}

func appendJSON(dst []byte, message uint8, b []byte, mem Memory) []byte {
	e := jsonEncoder{retry: len(b), mem: mem}
	out := e.message(dst, message, b, 0)
	if !e.giveUp {
		return out
	}
	e.giveUp = false
	for k := range e.merge {
		e.merge[k] = true
	}
	return e.message(out[:len(dst)], message, b, 0)
}

// message appends a message. It recurses for nested messages, at most maxFrames
// levels for a request that Check accepted.
func (e *jsonEncoder) message(dst []byte, message uint8, b []byte, depth int) []byte {
	dst = e.room(dst, jsonFieldBytes)
	switch {
	case e.giveUp:
		return dst
	case depth > maxFrames:
		return append(dst, "{}"...)
	case message == msgKeyValue && plainKeyValue(b) && b[1] > 0:
		return appendPlainKeyValue(e.room(dst, 6*len(b)+jsonFieldBytes), b)
	case !e.merge[message]:
		out, walked := e.streamed(dst, message, b, depth)
		if walked == len(b) {
			return out
		}
		e.merge[message] = true
		e.retry -= walked
		e.giveUp = e.retry < 0
		dst = out[:len(dst)]
	}
	return e.merged(dst, message, b, depth)
}

// streamed appends a message with its fields in the order of the wire, and returns
// how many bytes of b it has read. These are not all if a field has to be merged: one
// that is repeated and not a list, a list that continues after other fields, or two
// members of a oneof.
func (e *jsonEncoder) streamed(dst []byte, message uint8, b []byte, depth int) (out []byte, walked int) {
	const aMember = 1 << 0 // in seen, for the oneof; no field has the number 0
	seen, list := uint32(0), uint32(0)
	dst = append(dst, '{')
	open := len(dst)
	c := wire.Cursor{Buf: b}
	for c.Next() {
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
			return dst, c.Start
		}
		seen |= bit
		dst = e.room(dst, jsonFieldBytes)
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
			dst, wrote = e.scalar(dst, f, &c)
		}
		if !wrote {
			dst = dst[:before]
		}
	}
	if list != 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}'), len(b)
}

// packsNothing reports whether c is at an empty packed list.
func (f *jsonField) packsNothing(c *wire.Cursor) bool {
	return c.Type == wire.TypeBytes && len(c.Bytes) == 0 && f.form == formList && f.wireType() != wire.TypeBytes
}

// element appends the element of list f that c is at, or the elements if it is
// packed, which must be at least one.
func (e *jsonEncoder) element(dst []byte, f *jsonField, c *wire.Cursor, depth int) []byte {
	switch {
	case f.kind == jsonMessage:
		return e.message(dst, f.arg, c.Bytes, depth+1)
	case f.kind == jsonString:
		return e.str(dst, c.Bytes)
	case c.Type == wire.TypeBytes:
		return e.packed(dst, f, c.Bytes)
	}
	return appendJSONNumber(e.room(dst, jsonFieldBytes), f.kind, c.Scalar)
}

// jsonPlace is the position of a field in a message.
type jsonPlace struct {
	first, last int32 // the offsets of its first and last occurrence
	end         int32 // the end of the last occurrence; 0 if there is none
}

// jsonPlaces holds the positions of a message's fields by number.
type jsonPlaces [32]jsonPlace

// find sets the positions. Of a oneof only the last member gets one, which covers
// its occurrences after all other members.
func (p *jsonPlaces) find(message uint8, b []byte) {
	member := uint32(0)
	c := wire.Cursor{Buf: b}
	for c.Next() {
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

// merged appends a message with its fields in the order of the descriptor.
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
		dst = e.room(dst, jsonFieldBytes)
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
			dst, wrote = e.scalar(dst, f, &c)
		}
		if !wrote {
			dst = dst[:before]
		}
	}
	return append(dst, '}')
}

// list appends the elements of f in b, where other fields may be among them. It
// reports whether there are any.
func (e *jsonEncoder) list(dst []byte, f *jsonField, b []byte, depth int) (out []byte, wrote bool) {
	dst = append(dst, '[')
	open := len(dst)
	c := wire.Cursor{Buf: b}
	for c.Next() {
		if c.Num != f.num() || f.packsNothing(&c) {
			c.End = skipOthers(b, c.End, f)
			continue
		}
		if len(dst) > open {
			dst = append(dst, ',')
		}
		dst = e.element(dst, f, &c, depth)
	}
	return append(dst, ']'), len(dst) > open
}

// skipOthers skips the fields at b[i:] that are not f and have a tag and a length of
// one byte each, and returns the index after them.
func skipOthers(b []byte, i int, f *jsonField) int {
	for i+1 < len(b) && b[i]>>3 != f.tag>>3 && b[i] < 0x80 && b[i]&7 == uint8(wire.TypeBytes) && b[i+1] < 0x80 {
		i += 2 + int(b[i+1])
	}
	return i
}

// appendPlainKeyValue appends an attribute with a key for which plainKeyValue
// returns true.
func appendPlainKeyValue(dst, b []byte) []byte {
	v := 2 + int(b[1])
	dst = appendJSONString(append(dst, `{"key":`...), b[2:v])
	dst = append(dst, `,"value":{`...)
	f := &jsonMessages[msgAnyValue][jsonNumbers[msgAnyValue][b[v+2]>>3]-1]
	dst = append(dst, f.key...)
	switch b = b[v+3:]; f.wireType() {
	case wire.TypeBytes:
		dst = appendJSONString(dst, b[1:])
	case wire.TypeFixed64:
		dst = appendJSONDouble(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)))
	default:
		x, _ := binary.Uvarint(b)
		dst = appendJSONNumber(dst, f.kind, x)
	}
	return append(dst, "}}"...)
}

// appendJSONPacked appends the elements of a packed list, separated by commas.
func appendJSONPacked(dst []byte, f *jsonField, b []byte) []byte {
	if f.kind == jsonInt32 {
		return appendIndices(dst, b)
	}
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
			break // Check would reject it
		}
		b = b[n:]
	}
	return dst
}

// appendIndices is appendJSONPacked for int32, which is the type of indices: mostly
// small and not negative.
func appendIndices(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		v, n := uint64(b[i]), 1
		if v >= 0x80 {
			v, n = binary.Uvarint(b[i:])
		}
		if v < uint64(len(smallIndices)) {
			text := smallIndices[v]
			dst = binary.LittleEndian.AppendUint32(dst, text)[:len(dst)+(bits.Len32(text)+7)/8]
		} else {
			dst = append(appendSigned(dst, int64(int32(v))), ',')
		}
		if n <= 0 {
			break // Check would reject it
		}
		i += n
	}
	return dst[:len(dst)-1]
}

// appendJSONScalar appends the value that c is at, unless it is a default that is
// omitted, and reports whether it did.
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
		return append(appendHex(append(dst, '"'), c.Bytes), '"'), true
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), c.Bytes), '"'), true
}

// isDefault reports whether v is the zero of its kind. For 32-bit integers only the
// low half counts.
func isDefault(kind jsonKind, v uint64) bool {
	switch kind {
	case jsonEnum, jsonInt32, jsonSint32, jsonUint32:
		return uint32(v) == 0
	}
	return v == 0
}
