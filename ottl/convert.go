package ottl

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// errNumber is the error of NaN and the infinities where they are written as JSON.
var errNumber = errors.New("JSON has no NaN and no infinity")

// The sizes of a Value and an Entry, and how many bytes of JSON a value makes of each of
// its own at most: the empty key of an empty value takes two bytes, and is `"":null,`.
const (
	valueBytes = 56
	pairBytes  = 80
	jsonRatio  = 8
)

// Entry is one key of a map with its value.
type Entry struct {
	Key   []byte
	Value Value
}

// Entries appends the entries of a KindMap to dst, in their order. Of equal keys all.
func (e *Env) Entries(dst []Entry, v Value) []Entry {
	n := v.Count()
	if e.Reserve(n*pairBytes) != nil {
		return dst
	}
	dst = slices.Grow(dst, n)
	for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
		if c.Num != otlpfield.KeyValueListValues || c.Type != wire.TypeBytes {
			continue
		}
		f := otlp.KeyValue(c.Bytes).Decode()
		k := f.Key
		if len(k) == 0 && f.KeyStrindex != 0 {
			k = e.dictionaryString(f.KeyStrindex)
		}
		dst = append(dst, Entry{k, e.decode(f.Value)})
	}
	return dst
}

// Elements appends the elements of a KindList to dst.
func (e *Env) Elements(dst []Value, v Value) []Value {
	n := v.Count()
	if e.Reserve(n*valueBytes) != nil {
		return dst
	}
	dst = slices.Grow(dst, n)
	for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
		if c.Num == otlpfield.ArrayValueValues && c.Type == wire.TypeBytes {
			dst = append(dst, e.decode(c.Bytes))
		}
	}
	return dst
}

// Count returns the number of elements of a KindList or entries of a KindMap.
func (v Value) Count() (n int) {
	for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
		if c.Num == 1 && c.Type == wire.TypeBytes {
			n++
		}
	}
	return n
}

// Text returns v as a String, as the body and attributes are shown: bytes as base64, maps
// and lists as JSON. NaN in them makes it empty.
func (e *Env) Text(v Value) Value {
	switch v.kind {
	case KindString:
		return v
	case KindBytes:
		dst := e.Scratch(base64.StdEncoding.EncodedLen(len(v.bytes)))
		return OfText(base64.StdEncoding.AppendEncode(dst, v.bytes))
	case KindDouble:
		return OfText(appendDouble(e.Scratch(32), v.Double()))
	case KindMap, KindList:
		dst, err := e.AppendJSON(e.Scratch(jsonRatio*len(v.bytes)+16), v, false)
		if err != nil {
			dst = nil
		}
		return OfText(dst)
	case KindNil:
		return OfText(nil)
	}
	t, _, _ := e.Like(v)
	return OfText(t)
}

// Like returns v as text as functions convert their arguments: bytes as hexadecimal
// digits, maps and lists as JSON. ok is false for nil.
func (e *Env) Like(v Value) (text []byte, ok bool, err error) {
	switch v.kind {
	case KindNil:
		return nil, false, nil
	case KindString:
		return v.bytes, true, nil
	case KindBytes:
		return hex.AppendEncode(e.Scratch(2*len(v.bytes)), v.bytes), true, nil
	case KindMap, KindList:
		text, err = e.AppendJSON(e.Scratch(jsonRatio*len(v.bytes)+16), v, true)
	default:
		text, err = e.AppendJSON(e.Scratch(64), v, true)
	}
	return text, err == nil, err
}

// AppendJSON appends v as JSON, with the keys of maps in order. html: <, > and & are
// written as escapes.
func (e *Env) AppendJSON(dst []byte, v Value, html bool) ([]byte, error) {
	switch v.kind {
	case KindNil:
		return append(dst, "null"...), nil
	case KindBool:
		return strconv.AppendBool(dst, v.Bool()), nil
	case KindInt, KindDuration:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case KindDouble:
		if f := v.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			return dst, errNumber
		}
		return appendDouble(dst, v.Double()), nil
	case KindString:
		return appendJSONString(dst, v.bytes, html), nil
	case KindBytes:
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), v.bytes), '"'), nil
	case KindTime:
		b, err := v.Time().MarshalJSON()
		return append(dst, b...), err
	case KindMap:
		return e.appendJSONMap(dst, v, html)
	case KindList:
		return e.appendJSONList(dst, e.Items(v), html)
	}
	return e.appendJSONList(dst, func(yield func(Value) bool) { // an id
		for _, b := range v.bytes {
			if !yield(OfInt(int64(b))) {
				return
			}
		}
	}, html)
}

func (e *Env) appendJSONList(dst []byte, elements iter.Seq[Value], html bool) (_ []byte, err error) {
	dst = append(dst, '[')
	first := true
	for x := range elements {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if dst, err = e.AppendJSON(dst, x, html); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func (e *Env) appendJSONMap(dst []byte, v Value, html bool) (_ []byte, err error) {
	entries := e.Entries(nil, v)
	slices.SortStableFunc(entries, func(a, b Entry) int { return bytes.Compare(a.Key, b.Key) })
	dst = append(dst, '{')
	first := true
	for i, x := range entries {
		if i+1 < len(entries) && bytes.Equal(x.Key, entries[i+1].Key) {
			continue // the last one of equal keys is written
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendJSONString(dst, x.Key, html), ':')
		if dst, err = e.AppendJSON(dst, x.Value, html); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendJSONString appends a string as encoding/json writes it.
func appendJSONString(dst, s []byte, html bool) []byte {
	for _, c := range s {
		if c >= utf8.RuneSelf || c < ' ' || c == '"' || c == '\\' || html && (c == '<' || c == '>' || c == '&') || c == 0x7f {
			var buf bytes.Buffer
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(html)
			if err := enc.Encode(string(s)); err != nil {
				return append(dst, `""`...)
			}
			return append(dst, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, s...)
	return append(dst, '"')
}

// appendDouble appends a number as encoding/json writes it, and NaN and the infinities by
// name.
func appendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1] // e-09 is e-9
		dst = dst[:n-1]
	}
	return dst
}

// LikeInt returns v as an integer: of text its digits, of a double without its fraction.
func LikeInt(v Value) (i int64, ok bool, err error) {
	switch v.kind {
	case KindNil:
		return 0, false, nil
	case KindInt:
		return v.Int(), true, nil
	case KindDouble:
		return int64(v.Double()), true, nil
	case KindBool:
		return int64(v.num), true, nil
	case KindString:
		i, err = strconv.ParseInt(string(v.bytes), 10, 64)
		return i, err == nil, err
	}
	return 0, false, &TypeError{"a value that can be an integer", v.kind}
}

// LikeDouble returns v as a double.
func LikeDouble(v Value) (f float64, ok bool, err error) {
	switch v.kind {
	case KindNil:
		return 0, false, nil
	case KindInt:
		return float64(v.Int()), true, nil
	case KindDouble:
		return v.Double(), true, nil
	case KindBool:
		return float64(v.num), true, nil
	case KindString:
		f, err = strconv.ParseFloat(string(v.bytes), 64)
		return f, err == nil, err
	}
	return 0, false, &TypeError{"a value that can be a number", v.kind}
}

// LikeBool returns v as a bool.
func LikeBool(v Value) (b, ok bool, err error) {
	switch v.kind {
	case KindNil:
		return false, false, nil
	case KindBool:
		return v.Bool(), true, nil
	case KindInt:
		return v.num != 0, true, nil
	case KindDouble:
		return v.Double() != 0, true, nil
	case KindString:
		b, err = strconv.ParseBool(string(v.bytes))
		return b, err == nil, err
	}
	return false, false, &TypeError{"a value that can be a bool", v.kind}
}

// LikeBytes returns v as bytes: numbers in 8 bytes, the first one the highest.
func (e *Env) LikeBytes(v Value) (b []byte, ok bool, err error) {
	switch v.kind {
	case KindNil:
		return nil, false, nil
	case KindBytes, KindString:
		return v.bytes, true, nil
	case KindInt, KindDouble:
		return binary.BigEndian.AppendUint64(e.Scratch(8), v.num), true, nil
	case KindBool:
		return append(e.Scratch(1), byte(v.num)), true, nil
	}
	return nil, false, &TypeError{"a value that can be bytes", v.kind}
}
