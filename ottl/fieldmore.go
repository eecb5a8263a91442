package ottl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"go.opentelemetry.io/otel/trace"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// names is an enum by the names of its values, from 0. Other values have no name.
func names(what string, list ...string) access {
	return access{
		get: func(m *message, num uint32) (Value, error) {
			i := int32(m.slot(num).scalar)
			if i < 0 || int(i) >= len(list) {
				return OfText(nil), nil
			}
			return OfText(append(m.env.Scratch(len(list[i])), list[i]...)), nil
		},
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, KindString); err != nil {
				return err
			}
			i := slices.Index(list, string(v.bytes))
			if i < 0 {
				return fmt.Errorf("unknown %s %q, expected one of %q", what, v.bytes, list)
			}
			m.setScalar(num, wire.TypeVarint, uint64(i), i != 0)
			return nil
		},
	}
}

// spanFlags is fixed32Bits that refuses what does not fit.
var spanFlags = access{
	get: fixed32Bits.get,
	set: func(m *message, num uint32, v Value) error {
		if v.kind == KindInt && (v.Int() < 0 || v.Int() > math.MaxUint32) {
			return fmt.Errorf("flags are from 0 to %d, found %d", uint32(math.MaxUint32), v.Int())
		}
		return fixed32Bits.set(m, num, v)
	},
}

// partNumber is the position of a part in its item.
var partNumber = access{get: func(m *message, _ uint32) (Value, error) { return OfInt(int64(m.env.partNum)), nil }}

// schemaURL is the schema URL beside the resource or scope at a level.
func schemaURL(level int) access {
	return access{
		own: true,
		get: func(m *message, _ uint32) (Value, error) {
			return OfText(m.env.pass.SchemaURLOf(otlpedit.Levels(1 << level))), nil
		},
		set: func(m *message, _ uint32, v Value) error {
			if err := expect(v, KindString); err != nil {
				return err
			}
			m.env.pass.SetSchemaURL(m.arena.copy(v.bytes))
			return nil
		},
	}
}

// dictionaryText is a reference to a string of the dictionary.
var dictionaryText = access{
	get: func(m *message, num uint32) (Value, error) {
		return OfText(m.env.dictionaryString(int32(m.slot(num).scalar))), nil
	},
	set: func(m *message, num uint32, v Value) error {
		if err := expect(v, KindString); err != nil {
			return err
		}
		i, err := m.env.pass.StringIndex(v.bytes)
		if err == nil {
			m.setScalar(num, wire.TypeVarint, uint64(i), i != 0)
		}
		return err
	},
}

// kindMessages is a repeated field of messages, or one message: it has a length, and can
// be put where such a field is.
const kindMessages = KindProfileID + 1

// messages is a field whose messages are not looked into.
var messages = access{
	get: func(m *message, num uint32) (Value, error) {
		b, n := m.wholeFields(num)
		return Value{kind: kindMessages, num: uint64(n), bytes: b}, nil
	},
	set: func(m *message, num uint32, v Value) error {
		if v.kind != kindMessages && v.kind != KindNil {
			return &TypeError{"the same field of another item", v.kind}
		}
		m.setWholeFields(num, v.bytes)
		return nil
	},
}

// wholeFields returns all fields of a number, with their tags, and how many there are.
func (m *message) wholeFields(num uint32) (b []byte, n int) {
	m.scan()
	if m.changed>>num&1 != 0 {
		s := &m.slots[num]
		if !s.present {
			return nil, 0
		}
		enc, mark := m.env.scratch.room(len(s.bytes) + 24)
		if enc == nil {
			return nil, 0
		}
		enc.Bytes(num, s.bytes)
		return m.env.scratch.since(mark), 1
	}
	size := len(m.raw)
	for i := range m.parts {
		size += len(m.parts[i].now) + 24
	}
	enc, mark := m.env.scratch.room(size)
	if enc == nil {
		return nil, 0
	}
	for c := (wire.Cursor{Buf: m.raw}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		now := c.Bytes
		if p := m.partAt(num, c.Start); p != nil {
			now = p.now
		}
		if now != nil {
			enc.Bytes(num, now)
			n++
		}
	}
	for i := range m.parts {
		if p := &m.parts[i]; p.num == num && p.start < 0 {
			p.append(enc)
			n++
		}
	}
	return m.env.scratch.since(mark), n
}

// partAt returns what was done to the field of a number that begins in raw at start, nil
// for nothing.
func (m *message) partAt(num uint32, start int) *part {
	for i := range m.parts {
		if p := &m.parts[i]; p.num == num && p.start == start {
			return p
		}
	}
	return nil
}

// setWholeFields replaces all fields of a number by those in fields, whatever number these
// have.
func (m *message) setWholeFields(num uint32, fields []byte) {
	m.scan()
	m.parts = slices.DeleteFunc(m.parts, func(p part) bool { return p.num == num })
	for c := (wire.Cursor{Buf: m.raw}); c.Next(); {
		if c.Num == num {
			m.parts = append(m.parts, part{num: num, start: c.Start, end: c.End})
		}
	}
	for c := (wire.Cursor{Buf: m.arena.copy(fields)}); c.Next(); {
		if c.Type == wire.TypeBytes {
			m.parts = append(m.parts, part{num: num, start: -1, now: c.Bytes})
		}
	}
	m.changed &^= 1 << num
}

// dataPoints are the data points of a metric.
var dataPoints = access{
	get: func(m *message, _ uint32) (Value, error) {
		which := m.data()
		if which < 0 {
			return Value{}, nil
		}
		n := 0
		data := m.slots[metricData[which]].bytes
		for c := (wire.Cursor{Buf: data}); c.Next(); {
			if c.Num == otlpfield.GaugeDataPoints && c.Type == wire.TypeBytes {
				n++
			}
		}
		return Value{kind: kindMessages, num: uint64(n), bytes: data}, nil
	},
	set: func(m *message, _ uint32, v Value) error {
		if v.kind != kindMessages && v.kind != KindNil {
			return &TypeError{"the data points of another metric", v.kind}
		}
		which := m.data()
		if which < 0 {
			return nil
		}
		num := metricData[which]
		old := m.slots[num].bytes
		enc, mark := m.arena.room(len(old) + len(v.bytes))
		if enc == nil {
			return m.arena.err
		}
		appendFields(enc, old, func(field uint32) bool { return field != otlpfield.GaugeDataPoints })
		appendFields(enc, v.bytes, func(field uint32) bool { return field == otlpfield.GaugeDataPoints })
		m.setBytes(num, m.arena.since(mark))
		return nil
	},
}

// counted is a field that decides how many items there are.
func counted(a access) access {
	a.counts = true
	return a
}

// appendFields appends those fields of a message whose number is wanted.
func appendFields(enc *wire.Encoder, m []byte, want func(num uint32) bool) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if want(c.Num) {
			enc.Raw(m[c.Start:c.End])
		}
	}
}

// element is a type of the elements of a packed field.
type element struct {
	kind Kind
	typ  wire.Type // of one that is not packed
	read func(b []byte) (v Value, n int)
	add  func(b []byte, v Value) []byte
}

var (
	fixedNumbers = element{KindInt, wire.TypeFixed64,
		func(b []byte) (Value, int) { return readFixed(b, KindInt) },
		func(b []byte, v Value) []byte { return binary.LittleEndian.AppendUint64(b, v.num) }}
	doubles = element{KindDouble, wire.TypeFixed64,
		func(b []byte) (Value, int) { return readFixed(b, KindDouble) },
		func(b []byte, v Value) []byte { return binary.LittleEndian.AppendUint64(b, v.num) }}
	varints = element{KindInt, wire.TypeVarint,
		func(b []byte) (Value, int) {
			v, n := binary.Uvarint(b)
			return OfInt(int64(v)), n
		},
		func(b []byte, v Value) []byte { return binary.AppendUvarint(b, v.num) }}
)

func readFixed(b []byte, k Kind) (Value, int) {
	if len(b) < 8 {
		return Value{}, 0
	}
	return Value{kind: k, num: binary.LittleEndian.Uint64(b)}, 8
}

// packed is a repeated field of numbers, as a list.
func packed(el element) access {
	return access{
		get: func(m *message, num uint32) (Value, error) {
			m.scan()
			return m.env.listOf(m.packedBytes(num, el), el), nil
		},
		set: func(m *message, num uint32, v Value) error {
			if v.kind != KindList && v.kind != KindNil {
				return &TypeError{"a list of " + el.kind.String(), v.kind}
			}
			enc, mark := m.arena.room(10 * v.Count())
			if enc == nil {
				return m.arena.err
			}
			for c := (wire.Cursor{Buf: v.bytes}); c.Next(); {
				x := m.env.decode(c.Bytes)
				if x.kind != el.kind {
					return &TypeError{"a list of " + el.kind.String(), x.kind}
				}
				enc.Buf = el.add(enc.Buf, x)
			}
			b := m.arena.since(mark)
			m.setBytes(num, b)
			m.slots[num].present = len(b) > 0
			return nil
		},
	}
}

// attributeIndices is a list of references to attributes of the dictionary, which must be
// there.
func attributeIndices() access {
	a := packed(varints)
	set := a.set
	a.set = func(m *message, num uint32, v Value) error {
		for c := (wire.Cursor{Buf: v.bytes}); v.kind == KindList && c.Next(); {
			x := m.env.decode(c.Bytes)
			if i := x.Int(); x.kind == KindInt && i != 0 && (i != int64(int32(i)) || m.env.pass.Attribute(int32(i)) == nil) {
				return errReference
			}
		}
		return set(m, num, v)
	}
	return a
}

// readOnly is a field that cannot be set: what it refers to is not known here.
func readOnly(a access) access {
	a.set = nil
	return a
}

// packedBytes returns the elements of a field, also of one in several parts or not packed.
func (m *message) packedBytes(num uint32, el element) []byte {
	s := m.slot(num)
	if m.changed>>num&1 != 0 || s.count == 0 || s.count == 1 && s.typ == wire.TypeBytes {
		return s.bytes
	}
	var b []byte
	for c := (wire.Cursor{Buf: m.raw}); c.Next(); {
		switch {
		case c.Num != num:
		case c.Type == wire.TypeBytes:
			b = append(b, c.Bytes...)
		case c.Type == el.typ:
			b = el.add(b, Value{kind: el.kind, num: c.Scalar})
		}
	}
	return b
}

// listOf returns the elements of a packed field as a list.
func (e *Env) listOf(packed []byte, el element) Value {
	enc, mark := e.scratch.room(13 * len(packed))
	if enc == nil {
		return Value{}
	}
	for len(packed) > 0 {
		v, n := el.read(packed)
		if n <= 0 {
			break
		}
		inner := enc.Open(otlpfield.ArrayValueValues)
		appendValue(enc, v)
		enc.Close(inner)
		packed = packed[n:]
	}
	return OfFields(KindList, e.scratch.since(mark))
}

// referred is the list of attributes that a profile or a sample refers to in the
// dictionary. The list is a copy: what is set is added to the dictionary, whose entries
// others may refer to.
var referred = access{
	get: func(m *message, num uint32) (Value, error) {
		list, err := m.referredMap(num)
		if err != nil {
			return Value{}, err
		}
		return list.value(&m.env.scratch), nil
	},
	set: func(m *message, num uint32, v Value) error {
		list := m.env.mapOf(Value{})
		if err := list.replace(v); err != nil {
			return err
		}
		return m.setReferred(num, list)
	},
	index: func(m *message, num uint32, keys []key) (Value, error) {
		list, err := m.referredMap(num)
		if err != nil {
			return Value{}, err
		}
		return list.indexed(keys)
	},
	place: func(m *message, num uint32, keys []key, v Value) error {
		list, err := m.referredMap(num)
		if err != nil {
			return err
		}
		if err := list.place(keys, v); err != nil {
			return err
		}
		return m.setReferred(num, list)
	},
}

// setReferred makes field num refer to the entries of a list. Those that were not changed
// keep their references.
func (m *message) setReferred(num uint32, list *Map) error {
	enc, mark := m.arena.room(5 * list.live)
	if enc == nil {
		return m.arena.err
	}
	for i := range list.entries {
		x := &list.entries[i]
		ref := int32(x.start)
		if x.state == entryGone {
			continue
		}
		if x.state == entrySet || x.start < 0 {
			var err error
			if ref, err = m.env.pass.AttributeIndex(x.key, x.value); err != nil {
				return err
			}
		}
		enc.Buf = binary.AppendUvarint(enc.Buf, uint64(ref))
	}
	refs := m.arena.since(mark)
	m.setBytes(num, refs)
	m.slots[num].present = len(refs) > 0
	return nil
}

// referredMap returns the attributes that field num refers to.
func (m *message) referredMap(num uint32) (*Map, error) {
	m.scan()
	list := m.env.mapOf(Value{})
	for refs := m.packedBytes(num, varints); len(refs) > 0; {
		v, n := varints.read(refs)
		if n <= 0 {
			break
		}
		refs = refs[n:]
		a := m.env.pass.Attribute(int32(v.Int()))
		if a == nil {
			return nil, errReference
		}
		list.readAttribute(a, int(v.Int()))
	}
	return list, nil
}

var errReference = errors.New("a reference to an attribute that the dictionary does not have")

// readAttribute adds entry i of the dictionary's attributes, whose key is a reference.
func (m *Map) readAttribute(a []byte, i int) {
	key := m.env.dictionaryString(int32(firstScalar(a, otlpfield.KeyValueAndUnitKeyStrindex)))
	m.entries = append(m.entries, mapEntry{key: key, value: wire.Merged(a, otlpfield.KeyValueAndUnitValue), start: i, state: entryKept})
	m.live++
}

func firstScalar(b []byte, num uint32) uint64 {
	v, _ := wire.LastScalar(b, num, wire.TypeVarint)
	return v
}

// traceState is the W3C trace state of a span, with the key of one of its members.
var traceState = access{
	get: text.get, set: text.set,
	index: func(m *message, num uint32, keys []key) (Value, error) {
		name, err := traceStateKey(keys)
		if err != nil {
			return Value{}, err
		}
		return traceStateMember(m.slot(num).bytes, name), nil
	},
	place: func(m *message, num uint32, keys []key, v Value) error {
		name, err := traceStateKey(keys)
		if err != nil {
			return err
		}
		if err := expect(v, KindString); err != nil {
			return err
		}
		if now, ok := setTraceStateMember(m.slot(num).bytes, name, v.bytes); ok {
			m.setBytes(num, m.arena.copy(now))
		}
		return nil
	},
}

// traceStateMember returns a member, which is empty if there is none, and Nil if the trace
// state is invalid.
func traceStateMember(state []byte, name string) Value {
	ts, err := trace.ParseTraceState(string(state))
	if err != nil {
		return Value{}
	}
	return OfString(ts.Get(name))
}

// setTraceStateMember returns a trace state with a member set, if both are valid.
func setTraceStateMember(state []byte, name string, value []byte) ([]byte, bool) {
	ts, err := trace.ParseTraceState(string(state))
	if err == nil {
		ts, err = ts.Insert(name, string(value))
	}
	return []byte(ts.String()), err == nil
}

func traceStateKey(keys []key) (string, error) {
	if len(keys) != 1 || keys[0].kind != KindString {
		return "", errors.New("trace_state takes one key, which is a string")
	}
	return keys[0].text, nil
}
