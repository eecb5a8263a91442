package otlpedit

import (
	"encoding/binary"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// additions are entries that editors add to the dictionary of profiles. Those that exist
// already are not added: they are found by their bytes, in maps that are made when
// the first one is asked for.
type additions struct {
	strings, attributes map[string]int32
	entries             wire.Encoder // fields of the dictionary
}

// entryBytes is about how much memory a map takes for an entry beside its key.
const entryBytes = 64

// StringIndex returns the index of a string in the present request's dictionary, to which
// it is added if need be. The request must be of a signal with a dictionary.
func (p *Pass) StringIndex(s []byte) (int32, error) {
	return p.entryIndex(&p.strings, &p.more.strings, s)
}

// AttributeIndex returns the index of an attribute, by its key and the AnyValue of its
// value, in the dictionary, to which it is added if need be.
func (p *Pass) AttributeIndex(key, value []byte) (int32, error) {
	k, err := p.StringIndex(key)
	if err != nil {
		return 0, err
	}
	var e wire.Encoder
	if k != 0 {
		e.Varint(otlpfield.KeyValueAndUnitKeyStrindex, uint64(k))
	}
	e.Bytes(otlpfield.KeyValueAndUnitValue, value)
	return p.entryIndex(&p.attrs, &p.more.attributes, e.Buf)
}

// entryIndex returns the index of an entry of a table.
func (p *Pass) entryIndex(t *table, known *map[string]int32, entry []byte) (int32, error) {
	if *known == nil {
		if err := p.know(t, known); err != nil {
			return 0, err
		}
	}
	if i, ok := (*known)[string(entry)]; ok {
		return i, nil
	}
	return p.addEntry(t, known, entry)
}

// know makes the map of the entries that a table has. A table has an entry 0, which stands
// for none.
func (p *Pass) know(t *table, known *map[string]int32) error {
	if !t.indexed {
		t.index()
	}
	size := 0
	for i := range t.at {
		size += len(t.entry(int32(i))) + entryBytes
	}
	if size > maxKeptBytes {
		if err := p.mem.Reserve(size); err != nil {
			return err
		}
	}
	m := make(map[string]int32, len(t.at)+1)
	for i := range t.at {
		if e := t.entry(int32(i)); i > 0 || t.num == otlpfield.ProfilesDictionaryStringTable {
			if _, ok := m[string(e)]; !ok {
				m[string(e)] = int32(i)
			}
		}
	}
	*known = m
	if t.more = len(t.at); t.more == 0 {
		_, err := p.addEntry(t, known, nil)
		return err
	}
	return t.err
}

func (p *Pass) addEntry(t *table, known *map[string]int32, entry []byte) (int32, error) {
	s := &p.steps[p.step]
	s.grown += fieldBytes(len(entry))
	if err := s.tooLarge(p); err != nil {
		return 0, err
	}
	i := int32(t.more)
	t.more++
	p.more.entries.Bytes(t.num, entry)
	(*known)[string(entry)] = i
	return i, nil
}

// writeDictionary writes the dictionary with the entries that were added: in its place, or
// if it stands before something that was written already, as a further part at the end of
// the request.
func (p *Pass) writeDictionary() error {
	added := p.more.entries.Buf
	if len(added) == 0 {
		return nil
	}
	for c := (wire.Cursor{Buf: p.request, End: p.copied}); c.Next(); {
		if c.Num != otlpfield.ExportProfilesServiceRequestDictionary || c.Type != wire.TypeBytes {
			continue
		}
		if err := p.copyTo(c.Start); err != nil {
			return err
		}
		if err := p.room(maxHeadBytes + len(c.Bytes) + len(added)); err != nil {
			return err
		}
		p.out = wire.AppendTag(p.out, c.Num, wire.TypeBytes)
		p.out = binary.AppendUvarint(p.out, uint64(len(c.Bytes)+len(added)))
		p.out = append(append(p.out, c.Bytes...), added...)
		p.copied = c.End
		return nil
	}
	if err := p.copyTo(len(p.request)); err != nil {
		return err
	}
	return p.writeField(otlpfield.ExportProfilesServiceRequestDictionary, added)
}
