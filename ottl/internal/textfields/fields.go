// Package textfields parses lines of fields, pairs such as a=b c="d e" and rows of CSV, and
// writes them as the fields of a KeyValueList.
package textfields

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// entries are keys with their values. Of equal keys the last value counts.
type entries struct {
	keys, values [][]byte
	index        map[string]int // if there are many
}

// manyEntries is from which number of entries on keys are found with a map.
const manyEntries = 32

// put sets the value of a key.
func (x *entries) put(key, value []byte) {
	if i := x.find(key); i >= 0 {
		x.values[i] = value
		return
	}
	if x.index != nil {
		x.index[string(key)] = len(x.keys)
	}
	x.keys, x.values = append(x.keys, key), append(x.values, value)
}

func (x *entries) find(key []byte) int {
	if x.index == nil && len(x.keys) >= manyEntries {
		x.index = make(map[string]int)
		for i, k := range x.keys {
			x.index[string(k)] = i
		}
	}
	if x.index != nil {
		if i, ok := x.index[string(key)]; ok {
			return i
		}
		return -1
	}
	for i, k := range x.keys {
		if bytes.Equal(k, key) {
			return i
		}
	}
	return -1
}

// append appends the fields of a KeyValueList.
func (x *entries) append(dst []byte) []byte {
	enc := wire.Encoder{Buf: dst}
	for i, k := range x.keys {
		entry := enc.Open(otlpfield.KeyValueListValues)
		enc.Bytes(otlpfield.KeyValueKey, k)
		value := enc.Open(otlpfield.KeyValueValue)
		enc.Bytes(otlpfield.AnyValueStringValue, x.values[i])
		enc.Close(value)
		enc.Close(entry)
	}
	return enc.Buf
}
