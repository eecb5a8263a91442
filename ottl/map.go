package ottl

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Map is a list of keys and values under edit: the attributes of a message, the cache, or
// a map that is a value. Where a key occurs more than once, its first entry counts.
//
// Entries have indices from 0 to Len, which stay the same while entries are deleted and
// added. A deleted one has no key any more: Live reports whether an entry is still one.
type Map struct {
	entries []mapEntry
	live    int
	changed bool
	env     *Env   // which reads references into the dictionary
	arena   *arena // for what is set
}

type mapEntry struct {
	key, value []byte // value: an AnyValue
	raw        []byte // the KeyValue as it came, nil if the entry is new
	start, end int    // of its field in the message that it came in
	state      entryState
}

type entryState uint8

const (
	entryKept entryState = iota
	entrySet
	entryGone
)

// reset empties the map.
func (m *Map) reset() { m.entries, m.live, m.changed = m.entries[:0], 0, false }

// forget lets go of what points into a request.
func (m *Map) forget() {
	if m.reset(); cap(m.entries) > maxKeptEntries {
		m.entries = nil
	}
	clear(m.entries[:cap(m.entries)])
}

// maxKeptEntries is how many entries are kept for the next request.
const maxKeptEntries = 256

// read adds an entry as it came: a KeyValue whose field is from start to end.
func (m *Map) read(kv []byte, start, end int) {
	n := len(m.entries)
	if n < cap(m.entries) {
		m.entries = m.entries[:n+1]
	} else {
		m.entries = append(m.entries, mapEntry{})
	}
	x := &m.entries[n]
	x.raw, x.start, x.end, x.state = kv, start, end, entryKept
	m.live++
	// Nearly all have a short key and a value, in this order.
	if len(kv) >= 2 && kv[0] == otlpfield.KeyValueKey<<3|2 {
		if k := 2 + int(kv[1]); kv[1] < 0x80 && k+2 <= len(kv) && kv[k] == otlpfield.KeyValueValue<<3|2 {
			if v := k + 2 + int(kv[k+1]); kv[k+1] < 0x80 && v == len(kv) {
				x.key, x.value = kv[2:k:k], kv[k+2:v:v]
				return
			}
		}
	}
	f := otlp.KeyValue(kv).Decode()
	x.key, x.value = f.Key, f.Value
	if len(f.Key) == 0 && f.KeyStrindex != 0 {
		x.key = m.env.dictionaryString(f.KeyStrindex)
	}
}

// readFields adds the entries of a KeyValueList.
func (m *Map) readFields(fields []byte) {
	for c := (wire.Cursor{Buf: fields}); c.Next(); {
		if c.Num == otlpfield.KeyValueListValues && c.Type == wire.TypeBytes {
			m.read(c.Bytes, c.Start, c.End)
		}
	}
}

// Len returns the number of indices.
func (m *Map) Len() int { return len(m.entries) }

// Count returns the number of entries.
func (m *Map) Count() int { return m.live }

// Live reports whether the entry at an index was not deleted.
func (m *Map) Live(i int) bool { return m.entries[i].state != entryGone }

// Key returns the key at an index.
func (m *Map) Key(i int) []byte { return m.entries[i].key }

// Value returns the value at an index.
func (m *Map) Value(i int) Value { return m.env.decode(m.entries[i].value) }

// Find returns the index of a key, -1 if there is none.
func (m *Map) Find(key string) int {
	for i := range m.entries {
		if x := &m.entries[i]; len(x.key) == len(key) && string(x.key) == key && x.state != entryGone {
			return i
		}
	}
	return -1
}

// FindBytes is Find.
func (m *Map) FindBytes(key []byte) int {
	for i := range m.entries {
		if x := &m.entries[i]; x.state != entryGone && bytes.Equal(x.key, key) {
			return i
		}
	}
	return -1
}

// Get returns the value of a key, Nil if there is none.
func (m *Map) Get(key string) Value {
	if i := m.Find(key); i >= 0 {
		return m.Value(i)
	}
	return Value{}
}

// Put sets the value of a key, which becomes the last one if it is new. It copies v.
func (m *Map) Put(key string, v Value) {
	if i := m.Find(key); i >= 0 {
		m.SetAt(i, v)
		return
	}
	m.Add(key, v)
}

// Add adds an entry, even if there is one with this key. It copies key and v.
func (m *Map) Add(key string, v Value) {
	enc, mark := m.arena.room(len(key) + v.size())
	if enc == nil || !m.env.fits(v, attributeDepth) {
		return
	}
	enc.Buf = append(enc.Buf, key...)
	appendValue(enc, v)
	b := m.arena.since(mark)
	m.entries = append(m.entries, mapEntry{key: b[:len(key):len(key)], value: b[len(key):], start: -1, state: entrySet})
	m.live++
	m.changed = true
}

// AddBytes is Add.
func (m *Map) AddBytes(key []byte, v Value) { m.Add(string(key), v) }

// SetAt sets the value at an index. It copies v.
func (m *Map) SetAt(i int, v Value) {
	if !m.env.fits(v, attributeDepth) {
		return
	}
	x := &m.entries[i]
	x.value, x.state, m.changed = m.arena.encode(v), entrySet, true
}

// DeleteAt deletes the entry at an index.
func (m *Map) DeleteAt(i int) {
	if x := &m.entries[i]; x.state != entryGone {
		x.state, x.key, m.changed = entryGone, nil, true
		m.live--
	}
}

// Clear deletes all entries.
func (m *Map) Clear() {
	for i := range m.entries {
		m.DeleteAt(i)
	}
}

// How deep the value of an attribute, and a body, may be nested: deeper ones are refused
// wherever they arrive.
const (
	bodyDepth      = otlp.DefaultDepth
	attributeDepth = bodyDepth - 1
)

// fits reports whether v is nested at most so deep. If not, the statement fails.
func (e *Env) fits(v Value, most int) bool {
	depth := 1
	switch v.kind {
	case KindMap:
		depth = otlp.KeyValueList(v.bytes).Depth(most + 1)
	case KindList:
		depth = otlp.ArrayValue(v.bytes).Depth(most + 1)
	}
	return e.allow(depth, most)
}

// fitsAny is fits of an AnyValue.
func (e *Env) fitsAny(any []byte, most int) bool {
	return e.allow(otlp.AnyValue(any).Depth(most+1), most)
}

func (e *Env) allow(depth, most int) bool {
	if depth > most {
		e.failed = &otlp.DepthError{Max: most}
		return false
	}
	return true
}

// encode returns v as an AnyValue.
func (a *arena) encode(v Value) []byte {
	enc, mark := a.room(v.size())
	if enc == nil {
		return nil
	}
	appendValue(enc, v)
	return a.since(mark)
}

// size is how many bytes the entries take at most in a message.
func (m *Map) size() (n int) {
	for i := range m.entries {
		x := &m.entries[i]
		n += len(x.key) + len(x.value) + len(x.raw) + 24
	}
	return n
}

// value returns the map as a Value, made in arena a.
func (m *Map) value(a *arena) Value {
	enc, mark := a.room(m.size())
	if enc == nil {
		return Value{}
	}
	for i := range m.entries {
		m.entries[i].append(enc, otlpfield.KeyValueListValues)
	}
	return Value{kind: KindMap, bytes: a.since(mark)}
}

// append appends the entry as field num, if it is one.
func (x *mapEntry) append(enc *wire.Encoder, num uint32) {
	switch {
	case x.state == entryKept && x.raw != nil:
		enc.Bytes(num, x.raw)
		return
	case x.state == entryGone:
		return
	}
	mark := enc.Open(num)
	x.appendFields(enc)
	enc.Close(mark)
}

// appendFields appends the key as it came or as it was set, and the value.
func (x *mapEntry) appendFields(enc *wire.Encoder) {
	if x.raw == nil {
		enc.Bytes(otlpfield.KeyValueKey, x.key)
	}
	for c := (wire.Cursor{Buf: x.raw}); c.Next(); {
		if c.Num != otlpfield.KeyValueValue || c.Type != wire.TypeBytes {
			enc.Raw(x.raw[c.Start:c.End])
		}
	}
	enc.Bytes(otlpfield.KeyValueValue, x.value)
}
