package otlp

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// Dictionary gives access by index to the tables of a profiles request. A nil
// *Dictionary, as for the other signals, is empty. An index out of range returns
// nil, which is a valid view of a message without fields.
//
// It takes four bytes of memory for each entry. The smallest entry takes two
// bytes on the wire, so a hostile dictionary costs at most twice its size.
type Dictionary struct {
	raw []byte
	// starts holds for each table, by its field number in ProfilesDictionary,
	// the offsets of its entries in raw.
	starts [8][]uint32
}

// DictionaryBytes returns how many bytes DictionaryOf allocates for the index of a
// request's dictionary, 0 for a signal without one. To merge parts it may allocate
// more (Facts.SplitBytes).
func DictionaryBytes(s Signal, request []byte) int {
	if !s.Spec().HasDictionary {
		return 0
	}
	entries := uint64(0)
	for _, n := range tableSizes(request) {
		entries += n
	}
	return 4 * int(entries)
}

// DictionaryOf indexes the dictionary of a request of signal s. It returns nil if
// the signal has none. The parts of a dictionary that is split are merged.
func DictionaryOf(s Signal, request []byte) *Dictionary {
	if !s.Spec().HasDictionary {
		return nil
	}
	d := &Dictionary{raw: ExportProfilesServiceRequest(request).Dictionary()}
	var sizes limits
	countTables(d.raw, &sizes)
	for table := range d.starts {
		d.starts[table] = make([]uint32, 0, sizes[table])
	}
	for c := (wire.Cursor{Buf: d.raw}); c.Next(); {
		if c.Num < uint32(len(d.starts)) && c.Type == wire.TypeBytes {
			d.starts[c.Num] = append(d.starts[c.Num], uint32(c.Start))
		}
	}
	return d
}

// at returns entry i of a table.
func (d *Dictionary) at(table int, i int32) []byte {
	if d == nil || i < 0 || int(i) >= len(d.starts[table]) {
		return nil
	}
	c := wire.Cursor{Buf: d.raw, End: int(d.starts[table][i])}
	c.Next()
	return c.Bytes
}

// String returns entry i of the string table.
func (d *Dictionary) String(i int32) []byte { return d.at(otlpfield.ProfilesDictionaryStringTable, i) }

// Mapping returns entry i of the mapping table.
func (d *Dictionary) Mapping(i int32) Mapping {
	return d.at(otlpfield.ProfilesDictionaryMappingTable, i)
}

// Location returns entry i of the location table.
func (d *Dictionary) Location(i int32) Location {
	return d.at(otlpfield.ProfilesDictionaryLocationTable, i)
}

// Function returns entry i of the function table.
func (d *Dictionary) Function(i int32) Function {
	return d.at(otlpfield.ProfilesDictionaryFunctionTable, i)
}

// Link returns entry i of the link table.
func (d *Dictionary) Link(i int32) Link { return d.at(otlpfield.ProfilesDictionaryLinkTable, i) }

// Attribute returns entry i of the attribute table.
func (d *Dictionary) Attribute(i int32) KeyValueAndUnit {
	return d.at(otlpfield.ProfilesDictionaryAttributeTable, i)
}

// Stack returns entry i of the stack table.
func (d *Dictionary) Stack(i int32) Stack { return d.at(otlpfield.ProfilesDictionaryStackTable, i) }
