package attrs

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// maxUnreserved is how much memory is allocated without being reserved.
const maxUnreserved = 64 << 10

// Text appends the text of an AnyValue in the request that p edits, as AppendText does,
// after it has reserved the memory for that. It returns the text alone: of a string it
// is the string itself.
func Text(p *otlpedit.Pass, room *[]byte, value []byte) (text []byte, err error) {
	v := Resolve(p, value)
	if v.Kind() == otlp.KindString {
		return v.Text(), nil
	}
	if err := ReserveText(p, v, len(value)); err != nil {
		return nil, err
	}
	*room = AppendText((*room)[:0], v)
	return *room, nil
}

// ReserveText reserves what AppendText allocates for a value of n bytes, if that is much:
// for the text a byte may take six, and to sort the keys of maps, lists and maps are
// decoded, of which an entry takes two bytes at least.
func ReserveText(p *otlpedit.Pass, v otlp.Value, n int) error {
	need := 2 * n // base64, in a buffer that grows
	if k := v.Kind(); k == otlp.KindArray || k == otlp.KindMap {
		need = 128 * n
	}
	if need <= maxUnreserved {
		return nil
	}
	return p.Memory().Reserve(need)
}

// AppendText appends v as text, as the Collector does (pcommon.Value.AsString): a
// string as it is, a number or bool as in JSON, bytes in base64, lists and maps as JSON
// with sorted keys. Only for lists and maps it allocates.
func AppendText(dst []byte, v otlp.Value) []byte {
	switch v.Kind() {
	case otlp.KindString:
		return append(dst, v.Text()...)
	case otlp.KindBool:
		return strconv.AppendBool(dst, v.Bool())
	case otlp.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case otlp.KindDouble:
		return AppendDouble(dst, v.Double())
	case otlp.KindBytes:
		return base64.StdEncoding.AppendEncode(dst, v.Text())
	case otlp.KindArray, otlp.KindMap:
		return appendJSON(dst, v)
	}
	return dst
}

// AppendDouble appends a number as JSON has it, in which 1e6 is 1000000. NaN and the
// infinities, which JSON does not have, are NaN, Infinity and -Infinity.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	if abs := math.Abs(f); abs == 0 || abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); n >= 4 && string(dst[n-4:n-1]) == "e-0" {
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// appendJSON appends nothing for what has no JSON: a list or map with NaN or an
// infinity in it.
func appendJSON(dst []byte, v otlp.Value) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if e.Encode(raw(v)) != nil {
		return dst
	}
	return append(dst, bytes.TrimRight(b.Bytes(), "\n")...)
}

// raw returns a value as encoding/json takes it. Of equal keys the last one counts.
func raw(v otlp.Value) any {
	switch v.Kind() {
	case otlp.KindString:
		return string(v.Text())
	case otlp.KindBytes:
		return v.Text()
	case otlp.KindBool:
		return v.Bool()
	case otlp.KindInt:
		return v.Int()
	case otlp.KindDouble:
		return v.Double()
	case otlp.KindArray:
		list := []any{}
		for e := range v.Array() {
			list = append(list, raw(e))
		}
		return list
	case otlp.KindMap:
		m := map[string]any{}
		for k, e := range v.Map() {
			m[string(k)] = raw(e)
		}
		return m
	}
	return nil
}

// Equal reports whether two values are the same. The order of the keys of a map does
// not count.
func Equal(a, b otlp.Value) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case otlp.KindString, otlp.KindBytes:
		return bytes.Equal(a.Text(), b.Text())
	case otlp.KindBool:
		return a.Bool() == b.Bool()
	case otlp.KindInt:
		return a.Int() == b.Int()
	case otlp.KindDouble:
		return a.Double() == b.Double()
	case otlp.KindArray:
		return equalLists(a, b)
	case otlp.KindMap:
		return equalMaps(a, b)
	}
	return true
}

// equalLists takes time for as many elements as the shorter list has, squared: one of
// them comes from a configuration.
func equalLists(a, b otlp.Value) bool {
	if count(a) != count(b) {
		return false
	}
	i := 0
	for v := range a.Array() {
		if !Equal(v, element(b, i)) {
			return false
		}
		i++
	}
	return true
}

func element(v otlp.Value, i int) (found otlp.Value) {
	for e := range v.Array() {
		if i == 0 {
			return e
		}
		i--
	}
	return found
}

func equalMaps(a, b otlp.Value) bool {
	if count(a) != count(b) {
		return false
	}
	for k, v := range a.Map() {
		if w, ok := entry(b, k); !ok || !Equal(v, w) {
			return false
		}
	}
	return true
}

func entry(v otlp.Value, key []byte) (found otlp.Value, ok bool) {
	for k, e := range v.Map() {
		if bytes.Equal(k, key) {
			return e, true
		}
	}
	return found, false
}

// count returns how many elements a list or map has.
func count(v otlp.Value) (n int) {
	for range v.Array() {
		n++
	}
	for range v.Map() {
		n++
	}
	return n
}
