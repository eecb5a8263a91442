package profile

import (
	"slices"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/libpf"
	"github.com/penstock-telemetry/penstock/otlp"
)

// The methods below return an entry's number in the request being written, and
// write the entry when it is asked for the first time, after those it refers to.

// number returns what an entry has, or says that it must be written.
func (r *requests) number(t table, entry int32) (n int32, known bool) {
	if entry == 0 {
		return 0, true
	}
	n = r.numbers[t][entry]
	return n, n != 0
}

// assign gives an entry its number; its bytes have just been written.
func (r *requests) assign(t table, entry int32) int32 {
	n := r.entries[t]
	r.entries[t]++
	r.numbers[t][entry] = n
	r.assigned = append(r.assigned, assignment{t, entry})
	return n
}

// table returns the builder of a table's entries.
func (r *requests) table(t table) otlp.ProfilesDictionaryBuilder {
	return otlp.AppendProfilesDictionary(&r.tables[t])
}

func (r *requests) string(entry int32) int32 {
	if n, ok := r.number(tableString, entry); ok {
		return n
	}
	r.table(tableString).AddStringTable(r.dict.strings.all[entry])
	return r.assign(tableString, entry)
}

func (r *requests) attribute(entry int32) int32 {
	if n, ok := r.number(tableAttribute, entry); ok {
		return n
	}
	a := r.dict.attributes.all[entry]
	key, unit := r.string(a.key), r.string(a.unit)
	b := r.table(tableAttribute).AddAttributeTable()
	b.SetKeyStrindex(key)
	v := b.SetValue()
	v.Raw([]byte(a.value))
	v.Close()
	b.SetUnitStrindex(unit)
	b.Close()
	return r.assign(tableAttribute, entry)
}

// set returns the indices of a set of attributes, until the next call.
func (r *requests) set(entry int32) []int32 {
	set := r.dict.sets.all[entry]
	r.setIDs = r.setIDs[:0]
	for i := 0; i < len(set); i += 4 {
		r.setIDs = append(r.setIDs, r.attribute(set.at(i)))
	}
	return r.setIDs
}

func (r *requests) link(entry int32) int32 {
	if n, ok := r.number(tableLink, entry); ok {
		return n
	}
	l := r.dict.links.all[entry]
	b := r.table(tableLink).AddLinkTable()
	b.SetTraceID(l.trace[:])
	b.SetSpanID(l.span[:])
	b.Close()
	return r.assign(tableLink, entry)
}

func (r *requests) mapping(entry int32) int32 {
	if n, ok := r.number(tableMapping, entry); ok {
		return n
	}
	m := r.dict.mappings.all[entry]
	filename := r.string(m.filename)
	b := r.table(tableMapping).AddMappingTable()
	b.SetMemoryStart(m.start)
	b.SetMemoryLimit(m.limit)
	b.SetFileOffset(m.offset)
	b.SetFilenameStrindex(filename)
	b.AddAttributeIndices(r.set(m.set)...)
	b.Close()
	return r.assign(tableMapping, entry)
}

func (r *requests) function(entry int32) int32 {
	if n, ok := r.number(tableFunction, entry); ok {
		return n
	}
	f := r.dict.functions.all[entry]
	name, system, filename := r.string(f.name), r.string(f.system), r.string(f.filename)
	b := r.table(tableFunction).AddFunctionTable()
	b.SetNameStrindex(name)
	b.SetSystemNameStrindex(system)
	b.SetFilenameStrindex(filename)
	b.SetStartLine(f.startLine)
	b.Close()
	return r.assign(tableFunction, entry)
}

func (r *requests) location(entry int32) int32 {
	if n, ok := r.number(tableLocation, entry); ok {
		return n
	}
	l := r.dict.locations.all[entry]
	mapping := r.mapping(l.mapping)
	b := r.table(tableLocation).AddLocationTable()
	b.SetMappingIndex(mapping)
	b.SetAddress(l.address)
	if l.line != (line{}) || l.more != "" {
		r.line(b, l.line)
	}
	for more := (wire.Cursor{Buf: []byte(l.more)}); more.Next(); {
		ln := line{function: int32(more.Scalar)}
		more.Next()
		ln.line = int64(more.Scalar)
		more.Next()
		ln.column = int64(more.Scalar)
		r.line(b, ln)
	}
	b.AddAttributeIndices(r.set(l.set)...)
	b.Close()
	return r.assign(tableLocation, entry)
}

func (r *requests) line(b otlp.LocationBuilder, l line) {
	function := r.function(l.function)
	lb := b.AddLines()
	lb.SetFunctionIndex(function)
	lb.SetLine(l.line)
	lb.SetColumn(l.column)
	lb.Close()
}

func (r *requests) stack(entry int32) int32 {
	if n, ok := r.number(tableStack, entry); ok {
		return n
	}
	r.scratch = r.scratch[:0]
	numbers := r.numbers[tableLocation] // to ask location each time takes half as long again
	for _, l := range r.dict.stacks.at(entry) {
		n := numbers[l]
		if n == 0 {
			n = r.location(l)
		}
		r.scratch = append(r.scratch, n)
	}
	b := r.table(tableStack).AddStackTable()
	b.AddLocationIndices(r.scratch...)
	b.Close()
	return r.assign(tableStack, entry)
}

func slicesOf(a libpf.Attributes) []libpf.Attribute { return slices.Collect(a.All()) }
