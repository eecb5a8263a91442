package ottl

import (
	"encoding/binary"
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
)

// maxFields is above the numbers of all fields that are read or set.
const maxFields = 18

// message is a message under edit. Its fields are found in one pass over its bytes, at the
// first look at one; what is set is kept beside them; append writes the result:
//
//	raw      ██ trace_id ░░ name ██ … ▒▒ attribute ▒▒ attribute ██ status
//	             copied     set  copied  kept         deleted      copied
//	append   … and at the end what was not there before
type message struct {
	env     *Env
	shape   *shape
	raw     []byte
	scanned bool
	seen    uint32          // bits of the slots that are of this message
	slots   [maxFields]slot // by field number; repeated fields have only a count
	changed uint32          // bits of the slots that were set or cleared
	settled bool            // raw is not what came
	attrs   Map
	parts   []part // of repeated fields that were edited
	edits   []edit // of append
	arena   arena
}

// slot is a field that is not repeated: the last one of its number counts.
type slot struct {
	count      int // how often it is in raw
	present    bool
	split      bool // bytes are the last part of a message in several parts
	typ        wire.Type
	scalar     uint64
	bytes      []byte
	start, end int // of the last one in raw
}

// part is one element of a repeated field that was replaced, or deleted.
type part struct {
	num        uint32
	start, end int    // of the field in raw; start is -1 for one that is new
	now        []byte // nil: deleted
}

// edit replaces raw[start:end].
type edit struct {
	start, end int
	num        uint32    // of the slot, 0
	entry      *mapEntry // or an attribute
	part       *part     // or an element
}

// begin starts to edit a message.
func (m *message) begin(raw []byte) {
	m.raw, m.scanned, m.changed, m.settled = raw, false, 0, false
	m.attrs.reset()
	m.parts = m.parts[:0]
	m.arena.reset()
}

// forget lets go of what points into a request.
func (m *message) forget() {
	m.begin(nil)
	m.slots = [maxFields]slot{}
	m.attrs.forget()
	m.arena.forget()
	clear(m.parts[:cap(m.parts)])
	clear(m.edits[:cap(m.edits)])
}

// scan finds the fields.
func (m *message) scan() {
	if !m.scanned {
		m.scanFields()
	}
}

// scanFields reads the usual fields, of a number below 16 and less than 128 bytes, by
// itself, and all others with a Cursor.
func (m *message) scanFields() {
	m.scanned, m.seen = true, 0
	b := m.raw
	c := wire.Cursor{Buf: b}
	for i := 0; i < len(b); {
		start := i
		switch tag := b[i]; {
		case tag < 0x80 && tag&7 == byte(wire.TypeBytes) && i+1 < len(b) && b[i+1] < 0x80 && i+2+int(b[i+1]) <= len(b):
			end := i + 2 + int(b[i+1])
			c.Num, c.Type, c.Scalar, c.Bytes = uint32(tag>>3), wire.TypeBytes, 0, b[i+2:end:end]
			i = end
		case tag < 0x80 && tag&7 == byte(wire.TypeFixed64) && i+9 <= len(b):
			c.Num, c.Type, c.Scalar, c.Bytes = uint32(tag>>3), wire.TypeFixed64, binary.LittleEndian.Uint64(b[i+1:]), nil
			i += 9
		case tag < 0x80 && tag&7 == byte(wire.TypeVarint) && i+1 < len(b) && b[i+1] < 0x80:
			c.Num, c.Type, c.Scalar, c.Bytes = uint32(tag>>3), wire.TypeVarint, uint64(b[i+1]), nil
			i += 2
		default:
			c.End = i
			if !c.Next() {
				return
			}
			i = c.End
		}
		m.found(&c, start, i)
	}
}

// found notes a field.
func (m *message) found(c *wire.Cursor, start, end int) {
	switch {
	case c.Num >= maxFields:
		return
	case c.Num == m.shape.attributes && c.Type == wire.TypeBytes:
		m.attrs.read(c.Bytes, start, end)
		return
	}
	s, bit := &m.slots[c.Num], uint32(1)<<c.Num
	if m.seen&bit == 0 {
		m.seen |= bit
		*s = slot{count: 1, present: true, typ: c.Type, scalar: c.Scalar, bytes: c.Bytes, start: start, end: end}
		return
	}
	s.count++
	s.bytes = c.Bytes
	s.split = s.split || c.Type == wire.TypeBytes && m.shape.isMessage(c.Num)
	s.typ, s.scalar, s.start, s.end = c.Type, c.Scalar, start, end
}

// slot returns a field.
func (m *message) slot(num uint32) *slot {
	m.scan()
	s, bit := &m.slots[num], uint32(1)<<num
	if m.seen&bit == 0 {
		m.seen |= bit
		*s = slot{}
	}
	if s.split {
		s.bytes, s.split = wire.Merged(m.raw, num), false
	}
	return s
}

// setScalar sets a field that is a number, and removes one that is 0 if it may be left out.
func (m *message) setScalar(num uint32, t wire.Type, v uint64, present bool) {
	s := m.slot(num)
	s.present, s.typ, s.scalar, s.bytes = present, t, v, nil
	m.changed |= 1 << num
}

// setBytes sets a field that is a string, bytes or message. b is kept.
func (m *message) setBytes(num uint32, b []byte) {
	s := m.slot(num)
	s.present, s.typ, s.scalar, s.bytes = true, wire.TypeBytes, 0, b
	m.changed |= 1 << num
}

// clear removes a field.
func (m *message) clear(num uint32) {
	s := m.slot(num)
	s.present, s.bytes = false, nil
	m.changed |= 1 << num
}

// dirty reports whether something was changed.
func (m *message) dirty() bool {
	return m.settled || m.changed != 0 || m.attrs.changed || len(m.parts) > 0
}

// size is how many bytes append writes at most.
func (m *message) size() int {
	n := len(m.raw) + 64
	if m.attrs.changed {
		n += m.attrs.size()
	}
	for num := range m.slots {
		if m.changed>>num&1 != 0 {
			n += len(m.slots[num].bytes) + 24
		}
	}
	for i := range m.parts {
		n += len(m.parts[i].now) + 24
	}
	return n
}

// append appends the fields of the edited message.
func (m *message) append(enc *wire.Encoder) {
	copied := 0
	for _, e := range m.collect() {
		enc.Raw(m.raw[copied:e.start])
		copied = e.end
		switch {
		case e.entry != nil:
			e.entry.append(enc, m.shape.attributes)
		case e.part != nil:
			e.part.append(enc)
		default:
			m.slots[e.num].append(enc, e.num)
		}
	}
	enc.Raw(m.raw[copied:])
	m.appendNew(enc)
}

// appendNew appends what was not in the message before.
func (m *message) appendNew(enc *wire.Encoder) {
	for num := uint32(1); num < maxFields; num++ {
		if s := &m.slots[num]; m.changed>>num&1 != 0 && s.count == 0 {
			s.append(enc, num)
		}
	}
	if m.attrs.changed {
		for i := range m.attrs.entries {
			if x := &m.attrs.entries[i]; x.start < 0 {
				x.append(enc, m.shape.attributes)
			}
		}
	}
	for i := range m.parts {
		if p := &m.parts[i]; p.start < 0 {
			p.append(enc)
		}
	}
}

// collect returns the changes of what was in the message before, in its order.
func (m *message) collect() []edit {
	m.edits = m.edits[:0]
	for num := uint32(1); num < maxFields; num++ {
		s := &m.slots[num]
		switch {
		case m.changed>>num&1 == 0 || s.count == 0:
		case s.count == 1:
			m.edits = append(m.edits, edit{start: s.start, end: s.end, num: num})
		default:
			m.collectAll(num)
		}
	}
	if m.attrs.changed {
		for i := range m.attrs.entries {
			if x := &m.attrs.entries[i]; x.start >= 0 && x.state != entryKept {
				m.edits = append(m.edits, edit{start: x.start, end: x.end, entry: x})
			}
		}
	}
	for i := range m.parts {
		if p := &m.parts[i]; p.start >= 0 {
			m.edits = append(m.edits, edit{start: p.start, end: p.end, part: p})
		}
	}
	slices.SortFunc(m.edits, func(a, b edit) int { return a.start - b.start })
	return m.edits
}

// gone is an element of which nothing is left.
var gone part

// collectAll replaces the last of several fields of a number, and removes the others.
func (m *message) collectAll(num uint32) {
	for c := (wire.Cursor{Buf: m.raw}); c.Next(); {
		switch {
		case c.Num != num:
		case c.Start == m.slots[num].start:
			m.edits = append(m.edits, edit{start: c.Start, end: c.End, num: num})
		default:
			m.edits = append(m.edits, edit{start: c.Start, end: c.End, part: &gone})
		}
	}
}

func (s *slot) append(enc *wire.Encoder, num uint32) {
	switch {
	case !s.present:
	case s.typ == wire.TypeVarint:
		enc.Varint(num, s.scalar)
	case s.typ == wire.TypeFixed64:
		enc.Fixed64(num, s.scalar)
	case s.typ == wire.TypeFixed32:
		enc.Fixed32(num, uint32(s.scalar))
	default:
		enc.Bytes(num, s.bytes)
	}
}

func (p *part) append(enc *wire.Encoder) {
	if p.now != nil {
		enc.Bytes(p.num, p.now)
	}
}

// encode returns the edited message, made in arena a.
func (m *message) encode(a *arena) []byte {
	enc, mark := a.room(m.size())
	if enc == nil {
		return nil
	}
	m.append(enc)
	return a.since(mark)
}

// replace makes raw the message, as an edit of it.
func (m *message) replace(raw []byte) {
	m.raw, m.scanned, m.changed, m.settled = raw, false, 0, true
	m.attrs.reset()
	m.parts = m.parts[:0]
}
