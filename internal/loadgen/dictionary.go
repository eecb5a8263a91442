package loadgen

import "github.com/penstock-telemetry/penstock/otlp"

// table is a table of a profiles dictionary. Entry 0 is the zero value, and all entries
// are different (profiles.proto, ProfilesDictionary). Entries are compared by their bytes.
type table struct {
	rows  []string
	index map[string]int32
}

func newTable() *table { return &table{rows: []string{""}, index: map[string]int32{"": 0}} }

// add returns the index of row, and adds it if it is new.
func (t *table) add(row string) int32 {
	i, ok := t.index[row]
	if !ok {
		i = int32(len(t.rows))
		t.rows = append(t.rows, row)
		t.index[row] = i
	}
	return i
}

// dictionary is the dictionary of a request. All entries are referred to.
type dictionary struct {
	strings, mappings, locations, functions, links, attributes, stacks *table
	e                                                                  otlp.Encoder // for one entry
}

func newDictionary() *dictionary {
	return &dictionary{
		strings: newTable(), mappings: newTable(), locations: newTable(), functions: newTable(),
		links: newTable(), attributes: newTable(), stacks: newTable(),
	}
}

// entry adds the bytes that write writes to t.
func (d *dictionary) entry(t *table, write func(e *otlp.Encoder)) int32 {
	d.e.Buf = d.e.Buf[:0]
	write(&d.e)
	return t.add(string(d.e.Buf))
}

func (d *dictionary) attribute(key string, value any) int32 {
	k := d.strings.add(key)
	return d.entry(d.attributes, func(e *otlp.Encoder) {
		b := otlp.AppendKeyValueAndUnit(e)
		b.SetKeyStrindex(k)
		v := b.SetValue()
		switch value := value.(type) {
		case string:
			v.SetStringValue(value)
		case int:
			v.SetIntValue(int64(value))
		}
		v.Close()
	})
}

func (d *dictionary) stack(locations []int32) int32 {
	return d.entry(d.stacks, func(e *otlp.Encoder) { otlp.AppendStack(e).AddLocationIndices(locations...) })
}

func (d *dictionary) link(traceID, spanID []byte) int32 {
	return d.entry(d.links, func(e *otlp.Encoder) {
		b := otlp.AppendLink(e)
		b.SetTraceID(traceID)
		b.SetSpanID(spanID)
	})
}

// valueType writes a type and its unit.
func (d *dictionary) valueType(b otlp.ValueTypeBuilder, name, unit string) {
	b.SetTypeStrindex(d.strings.add(name))
	b.SetUnitStrindex(d.strings.add(unit))
	b.Close()
}

// writeTo writes all tables.
func (d *dictionary) writeTo(b otlp.ProfilesDictionaryBuilder) {
	for _, s := range d.strings.rows {
		b.AddStringTable(s)
	}
	each(d.mappings, b.AddMappingTable)
	each(d.locations, b.AddLocationTable)
	each(d.functions, b.AddFunctionTable)
	each(d.links, b.AddLinkTable)
	each(d.attributes, b.AddAttributeTable)
	each(d.stacks, b.AddStackTable)
	b.Close()
}

func each[B interface {
	Raw(fields []byte)
	Close()
}](t *table, add func() B) {
	for _, row := range t.rows {
		b := add()
		b.Raw([]byte(row))
		b.Close()
	}
}
