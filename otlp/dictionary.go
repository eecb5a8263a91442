package otlp

// Dictionary gives access by index to the tables of a profiles request. A nil
// *Dictionary is that of the other signals: empty. An index that a table does
// not have gives nil, which every view reads as a message without fields.
type Dictionary struct {
	strings    [][]byte
	mappings   []Mapping
	locations  []Location
	functions  []Function
	links      []Link
	attributes []KeyValueAndUnit
	stacks     []Stack
}

// DictionaryOf indexes the dictionary of a request of signal s; nil if the
// signal has none. A dictionary in several parts is one: their tables append.
func DictionaryOf(s Signal, request []byte) *Dictionary {
	if !s.Spec().HasDictionary {
		return nil
	}
	f := ExportProfilesServiceRequest(request).Dictionary().Decode()
	return &Dictionary{
		strings:    collect(f.StringTable),
		mappings:   collect(f.MappingTable),
		locations:  collect(f.LocationTable),
		functions:  collect(f.FunctionTable),
		links:      collect(f.LinkTable),
		attributes: collect(f.AttributeTable),
		stacks:     collect(f.StackTable),
	}
}

func collect[T ~[]byte](l List[T]) []T {
	out := make([]T, 0, l.Len())
	for v := range l.All() {
		out = append(out, v)
	}
	return out
}

func at[T ~[]byte](table []T, i int32) T {
	if i < 0 || int(i) >= len(table) {
		return nil
	}
	return table[i]
}

// String returns entry i of the string table.
func (d *Dictionary) String(i int32) []byte {
	if d == nil {
		return nil
	}
	return at(d.strings, i)
}

// Mapping returns entry i of the mapping table.
func (d *Dictionary) Mapping(i int32) Mapping { return at(d.mappings, i) }

// Location returns entry i of the location table.
func (d *Dictionary) Location(i int32) Location { return at(d.locations, i) }

// Function returns entry i of the function table.
func (d *Dictionary) Function(i int32) Function { return at(d.functions, i) }

// Link returns entry i of the link table.
func (d *Dictionary) Link(i int32) Link { return at(d.links, i) }

// Attribute returns entry i of the attribute table.
func (d *Dictionary) Attribute(i int32) KeyValueAndUnit { return at(d.attributes, i) }

// Stack returns entry i of the stack table.
func (d *Dictionary) Stack(i int32) Stack { return at(d.stacks, i) }
