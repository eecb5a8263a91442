package attraction

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// maxLists and maxListBytes bound the lists of indices that are remembered.
const (
	maxLists     = 256
	maxListBytes = 128
)

// EditIndices is Edit for attributes that are indices into the dictionary, in field num of
// message m. New and changed attributes are added to the dictionary, since other messages
// may refer to the old ones. Lists that occurred before in the request are found again.
func (e *Editor) EditIndices(pass *otlpedit.Pass, m []byte, num uint32, w *otlpedit.Writer) (changed bool, err error) {
	old := packed(m, num)
	list, known := e.lists[string(old)]
	if !known || old == nil {
		if list, err = e.editList(pass, m, num); err != nil {
			return false, err
		}
		if len(e.lists) < maxLists && old != nil && len(old)+len(list) <= maxListBytes {
			if e.lists == nil {
				e.lists = map[string][]byte{}
			}
			list = append(make([]byte, 0, len(list)+1), list...) // not nil, unless nothing changes
			if !e.listChanged {
				list = nil
			}
			e.lists[string(old)] = list
		} else if !e.listChanged {
			list = nil
		}
	}
	if list == nil {
		return false, nil
	}
	w.Without(m, num)
	if len(list) > 0 {
		w.Bytes(num, list)
	}
	return true, nil
}

// packed returns the value of field num, if it is one packed list; nil: it is not, or there
// is none.
func packed(m []byte, num uint32) (list []byte) {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		if c.Num != num {
			continue
		}
		if list != nil || c.Type != wire.TypeBytes {
			return nil
		}
		list = c.Bytes
	}
	return list
}

// eachIndex calls do with the indices in field num, in order.
func eachIndex(m []byte, num uint32, do func(index int32) error) error {
	for c := (wire.Cursor{Buf: m}); c.Next(); {
		switch {
		case c.Num != num:
		case c.Type == wire.TypeVarint:
			if err := do(int32(c.Scalar)); err != nil {
				return err
			}
		case c.Type == wire.TypeBytes:
			for i := 0; i < len(c.Bytes); {
				v, next, err := wire.Varint(c.Bytes, i)
				if err != nil {
					return err
				}
				if err := do(int32(v)); err != nil {
					return err
				}
				i = next
			}
		}
	}
	return nil
}

// editList returns the list of indices after the actions, in memory that is used again, and
// sets listChanged.
func (e *Editor) editList(pass *otlpedit.Pass, m []byte, num uint32) (list []byte, err error) {
	e.begin(pass, m, num)
	e.byIndex = true
	defer func() { e.byIndex = false }()
	at := int32(0)
	err = eachIndex(m, num, func(index int32) error {
		e.collectIndex(at, index)
		at++
		return nil
	})
	e.original = len(e.records)
	if err == nil {
		err = e.apply()
	}
	if e.listChanged = err == nil && e.changed(); !e.listChanged {
		return nil, err
	}
	return e.newList(m, num)
}

// collectIndex is collect for the at-th index. Index 0 stands for none. A record has the
// position in the list as its start, and the index as its end.
func (e *Editor) collectIndex(at, index int32) {
	if index == 0 {
		return
	}
	a := e.pass.Attribute(index)
	key := e.keyOf(a)
	slot := e.actions.keys.find(key)
	if slot == noSlot || e.heads[slot] != 0 && e.seen(slot) >= e.actions.reach[slot] {
		e.matched = e.matched || e.fates != nil && e.fate(key) != fate{}
		return
	}
	if e.heads[slot] == 0 {
		e.heads[slot] = int32(len(e.records) + 1)
	}
	r := e.add(slot, a.Value())
	r.start, r.end = at, index
}

// newList writes the indices.
func (e *Editor) newList(m []byte, num uint32) ([]byte, error) {
	if e.list = e.list[:0]; e.list == nil {
		e.list = make([]byte, 0, maxListBytes) // nil means that nothing changes
	}
	next, at := 0, int32(-1)
	err := eachIndex(m, num, func(index int32) (err error) {
		at++
		if next < e.original && e.records[next].start == at {
			r := &e.records[next]
			next++
			if r.deleted {
				return nil
			}
			if e.replaced(r) {
				index, err = e.withValue(index, r.value)
			}
		} else if f := e.fateOfIndex(index); f.deleted {
			return nil
		} else if f.hashes > 0 {
			begin := len(e.arena.buf)
			value, errHash := e.hashTimes(e.pass.Attribute(index).Value(), f.hashes)
			if errHash != nil {
				return errHash
			}
			index, err = e.withValue(index, value)
			e.arena.buf = e.arena.buf[:min(begin, len(e.arena.buf))] // it was copied
		}
		if err == nil {
			err = e.appendIndex(index)
		}
		return err
	})
	for i := e.original; i < len(e.records) && err == nil; i++ {
		if r := &e.records[i]; !r.deleted {
			var index int32
			if index, err = e.pass.AttributeIndex([]byte(e.actions.keys.names[r.slot]), r.value); err == nil {
				err = e.appendIndex(index)
			}
		}
	}
	return e.list, err
}

func (e *Editor) fateOfIndex(index int32) fate {
	if !e.matched || index == 0 {
		return fate{}
	}
	return e.fate(e.keyOf(e.pass.Attribute(index)))
}

// keyOf returns the key of an attribute; index 0 stands for none.
func (e *Editor) keyOf(a otlp.KeyValueAndUnit) []byte {
	if i := a.KeyStrindex(); i != 0 {
		return e.pass.String(i)
	}
	return nil
}

// withValue returns the index of an attribute that is like another one but for its value.
func (e *Editor) withValue(index int32, value []byte) (int32, error) {
	old := e.pass.Attribute(index)
	if need := len(old) + len(value) + 16; need > cap(e.entry) && need > maxArenaBytes {
		if err := e.pass.Memory().Reserve(need); err != nil {
			return 0, err
		}
	}
	enc := wire.Encoder{Buf: e.entry[:0]}
	for c := (wire.Cursor{Buf: old}); c.Next(); {
		if c.Num != otlpfield.KeyValueAndUnitValue {
			enc.Raw(old[c.Start:c.End])
		}
	}
	if value != nil {
		enc.Bytes(otlpfield.KeyValueAndUnitValue, value)
	}
	e.entry = enc.Buf
	return e.pass.AttributeIndexOf(otlp.KeyValueAndUnit(e.entry))
}

func (e *Editor) appendIndex(index int32) error {
	if len(e.list)+10 > cap(e.list) && 2*cap(e.list) > maxArenaBytes {
		if err := e.pass.Memory().Reserve(2 * cap(e.list)); err != nil {
			return err
		}
	}
	e.list = binary.AppendUvarint(e.list, uint64(uint32(index)))
	return nil
}
