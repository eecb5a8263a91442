package logformat

import (
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Map is an ordered list of keys and values: a string, an int64, a *Map, a List.
type Map struct {
	keys   []string
	values []any
	index  map[string]int // of many keys
}

// List is a list of values.
type List []any

// manyKeys is from how many keys on a Map has an index.
const manyKeys = 16

// put sets the value of a key, which stays in its place if it is there.
func (m *Map) put(key string, v any) {
	if i := m.find(key); i >= 0 {
		m.values[i] = v
		return
	}
	m.keys, m.values = append(m.keys, key), append(m.values, v)
	switch n := len(m.keys); {
	case m.index != nil:
		m.index[key] = n - 1
	case n == manyKeys:
		m.index = make(map[string]int, 2*n)
		for i, k := range m.keys {
			m.index[k] = i
		}
	}
}

func (m *Map) find(key string) int {
	if m.index != nil {
		if i, ok := m.index[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range m.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// Get returns the value of a key, nil if there is none.
func (m *Map) Get(key string) any {
	if i := m.find(key); i >= 0 {
		return m.values[i]
	}
	return nil
}

// Keys returns the keys in their order.
func (m *Map) Keys() []string { return m.keys }

// Size returns how many bytes Append appends at most.
func (m *Map) Size() (n int) {
	for i, k := range m.keys {
		n += 3*len(k) + size(m.values[i]) + 48
	}
	return n
}

func size(v any) (n int) {
	switch v := v.(type) {
	case string:
		return 3 * len(v) // if it is made valid UTF-8
	case *Map:
		return v.Size()
	case List:
		for _, e := range v {
			n += size(e) + 24
		}
	}
	return n
}

// Append appends the fields of a KeyValueList. Strings that are not valid UTF-8 get U+FFFD
// for what is not.
func (m *Map) Append(enc *wire.Encoder) {
	for i, k := range m.keys {
		mark := enc.Open(otlpfield.KeyValueListValues)
		enc.String(otlpfield.KeyValueKey, valid(k))
		appendValue(enc, otlpfield.KeyValueValue, m.values[i])
		enc.Close(mark)
	}
}

func appendValue(enc *wire.Encoder, num uint32, v any) {
	mark := enc.Open(num)
	switch v := v.(type) {
	case string:
		enc.String(otlpfield.AnyValueStringValue, valid(v))
	case int64:
		enc.Varint(otlpfield.AnyValueIntValue, uint64(v))
	case *Map:
		inner := enc.Open(otlpfield.AnyValueKvlistValue)
		v.Append(enc)
		enc.Close(inner)
	case List:
		inner := enc.Open(otlpfield.AnyValueArrayValue)
		for _, e := range v {
			appendValue(enc, otlpfield.ArrayValueValues, e)
		}
		enc.Close(inner)
	}
	enc.Close(mark)
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
