package ottl

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// access reads and writes one field of a message.
type access struct {
	get func(m *message, num uint32) (Value, error)
	set func(m *message, num uint32, v Value) error
	// index reads and writes what keys name in the field; nil: it takes no keys.
	index  func(m *message, num uint32, keys []key) (Value, error)
	place  func(m *message, num uint32, keys []key, v Value) error
	attrs  bool // the field is the message's list of attributes
	counts bool // what is set may have another number of items
	own    bool // the field can be set in the context of its message only
}

// TypeError is the error of a value of the wrong type.
type TypeError struct {
	Want string
	Got  Kind
}

func (e *TypeError) Error() string { return fmt.Sprintf("expected %s, found %s", e.Want, e.Got) }

func expect(v Value, k Kind) error {
	if v.kind != k {
		return &TypeError{k.String(), v.kind}
	}
	return nil
}

// The kinds of access.
var (
	text = access{
		get: func(m *message, num uint32) (Value, error) { return OfText(m.slot(num).bytes), nil },
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, KindString); err != nil {
				return err
			}
			m.setBytes(num, m.arena.copy(v.bytes))
			return nil
		},
	}
	int32Number  = number(wire.TypeVarint, func(raw uint64) int64 { return int64(int32(raw)) }, func(v int64) uint64 { return uint64(int64(int32(v))) })
	uint32Number = number(wire.TypeVarint, func(raw uint64) int64 { return int64(uint32(raw)) }, func(v int64) uint64 { return uint64(uint32(v)) })
	int64Number  = number(wire.TypeVarint, func(raw uint64) int64 { return int64(raw) }, func(v int64) uint64 { return uint64(v) })
	zigzagNumber = number(wire.TypeVarint, func(raw uint64) int64 { return int64(int32(uint32(raw)>>1) ^ -int32(raw&1)) },
		func(v int64) uint64 { return uint64(uint32(int32(v)<<1) ^ uint32(int32(v)>>31)) })
	fixedNumber = number(wire.TypeFixed64, func(raw uint64) int64 { return int64(raw) }, func(v int64) uint64 { return uint64(v) })
	fixed32Bits = number(wire.TypeFixed32, func(raw uint64) int64 { return int64(uint32(raw)) }, func(v int64) uint64 { return uint64(uint32(v)) })
	fixedTime   = scalar(wire.TypeFixed64, KindTime, false)
	double      = scalar(wire.TypeFixed64, KindDouble, true)
	boolean     = scalar(wire.TypeVarint, KindBool, false)
	traceID     = id(KindTraceID, 16)
	spanID      = id(KindSpanID, 8)
	profileID   = id(KindProfileID, 16)
	traceIDText = idText(16)
	spanIDText  = idText(8)
)

// number is a field whose value is an integer.
func number(t wire.Type, read func(uint64) int64, write func(int64) uint64) access {
	return access{
		get: func(m *message, num uint32) (Value, error) { return OfInt(read(m.slot(num).scalar)), nil },
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, KindInt); err != nil {
				return err
			}
			raw := write(v.Int())
			m.setScalar(num, t, raw, raw != 0)
			return nil
		},
	}
}

// scalar is a field that holds the bits of a value; optional: also if they are 0.
func scalar(t wire.Type, k Kind, optional bool) access {
	return access{
		get: func(m *message, num uint32) (Value, error) { return Value{kind: k, num: m.slot(num).scalar}, nil },
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, k); err != nil {
				return err
			}
			m.setScalar(num, t, v.num, optional || v.num != 0)
			return nil
		},
	}
}

var zeroID [16]byte

// idBytes returns the id in a field, zeros if it has another size.
func (m *message) idBytes(num uint32, size int) []byte {
	if b := m.slot(num).bytes; len(b) == size {
		return b
	}
	return zeroID[:size:size]
}

func id(k Kind, size int) access {
	return access{
		get: func(m *message, num uint32) (Value, error) { return Value{kind: k, bytes: m.idBytes(num, size)}, nil },
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, k); err != nil {
				return err
			}
			m.setID(num, v.bytes)
			return nil
		},
	}
}

// setID sets an id; one of zeros is none.
func (m *message) setID(num uint32, b []byte) {
	m.setBytes(num, m.arena.copy(b))
	m.slots[num].present = !bytes.Equal(b, zeroID[:len(b)])
}

func idText(size int) access {
	return access{
		get: func(m *message, num uint32) (Value, error) {
			return OfText(hex.AppendEncode(m.env.Scratch(2*size), m.idBytes(num, size))), nil
		},
		set: func(m *message, num uint32, v Value) error {
			if err := expect(v, KindString); err != nil {
				return err
			}
			var b [16]byte
			if len(v.bytes) != 2*size {
				return fmt.Errorf("expected %d hexadecimal digits, found %d bytes", 2*size, len(v.bytes))
			}
			if _, err := hex.Decode(b[:size], v.bytes); err != nil {
				return err
			}
			m.setID(num, b[:size])
			return nil
		},
	}
}

// attributes is the message's list of attributes.
var attributes = access{attrs: true}

// body is an AnyValue.
var body = access{
	get: func(m *message, num uint32) (Value, error) { return m.env.decode(m.slot(num).bytes), nil },
	set: func(m *message, num uint32, v Value) error {
		if err := storable(v); err != nil {
			return err
		}
		if m.env.fits(v, bodyDepth) {
			m.setBytes(num, m.arena.encode(v))
		}
		return nil
	},
	index: func(m *message, num uint32, keys []key) (Value, error) {
		v := m.env.decode(m.slot(num).bytes)
		if v.kind != KindMap && v.kind != KindList {
			return Value{}, fmt.Errorf("a body that is %s has no keys", v.kind)
		}
		return m.env.index(v, keys)
	},
	place: func(m *message, num uint32, keys []key, v Value) error {
		old := m.slot(num).bytes
		if k := m.env.decode(old).kind; k != KindMap && k != KindList {
			return fmt.Errorf("a body that is %s has no keys", k)
		}
		now, err := m.env.placed(&m.arena, old, keys, v)
		if err == nil && m.env.fitsAny(now, bodyDepth) {
			m.setBytes(num, now)
		}
		return err
	},
}

// bodyText is an AnyValue as a string.
var bodyText = access{
	get: func(m *message, num uint32) (Value, error) { return m.env.Text(m.env.decode(m.slot(num).bytes)), nil },
	set: func(m *message, num uint32, v Value) error {
		if err := expect(v, KindString); err != nil {
			return err
		}
		return body.set(m, num, v)
	},
}

// inside is a field of a message that is field num: a.sub.
func inside(sub uint32, inner access) access {
	nested := func(m *message, num uint32) *message {
		n := &m.env.nested
		n.shape = &nestedShape
		n.begin(m.slot(num).bytes)
		n.arena.mem = m.arena.mem
		return n
	}
	return access{
		get: func(m *message, num uint32) (Value, error) { return inner.get(nested(m, num), sub) },
		set: func(m *message, num uint32, v Value) error {
			n := nested(m, num)
			if err := inner.set(n, sub, v); err != nil {
				return err
			}
			m.setBytes(num, n.encode(&m.arena))
			return nil
		},
	}
}

var nestedShape = shape{name: "nested"}

// oneOf is a member of a oneof with the others, that are removed when it is set.
func oneOf(a access, others ...uint32) access {
	set := a.set
	a.set = func(m *message, num uint32, v Value) error {
		if err := set(m, num, v); err != nil {
			return err
		}
		m.slots[num].present = true // also if it is 0
		for _, n := range others {
			if m.slot(n).present {
				m.clear(n)
			}
		}
		return nil
	}
	return a
}

// metricData are the fields of a metric of which one is set, in the order of the enum of
// metric types that OTTL has, from 1.
var metricData = [...]uint32{otlpfield.MetricGauge, otlpfield.MetricSum, otlpfield.MetricHistogram, otlpfield.MetricExponentialHistogram, otlpfield.MetricSummary}

// data returns which of metricData is set, by its index, -1 for none.
func (m *message) data() (which int) {
	which, start := -1, -1
	for i, num := range metricData {
		if s := m.slot(num); s.present && s.start >= start {
			which, start = i, s.start
		}
	}
	return which
}

// metricType is the type of a metric's data, which is not set.
var metricType = access{
	get: func(m *message, _ uint32) (Value, error) { return OfInt(int64(m.data() + 1)), nil },
	set: func(*message, uint32, Value) error { return nil },
}

// ofData is a field of the data of those metrics whose data have it.
func ofData(sub uint32, inner access, kind Kind, in ...uint32) access {
	has := fields(in...)
	a := inside(sub, inner)
	find := func(m *message) (num uint32, ok bool) {
		which := m.data()
		if which < 0 {
			return 0, false
		}
		num = metricData[which]
		return num, has>>num&1 != 0
	}
	return access{
		get: func(m *message, _ uint32) (Value, error) {
			num, ok := find(m)
			if !ok {
				return Value{}, nil
			}
			return a.get(m, num)
		},
		set: func(m *message, _ uint32, v Value) error {
			if err := expect(v, kind); err != nil {
				return err
			}
			num, ok := find(m)
			if !ok {
				return nil
			}
			return a.set(m, num, v)
		},
	}
}
