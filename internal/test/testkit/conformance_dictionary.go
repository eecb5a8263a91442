package testkit

import (
	"bytes"
	"fmt"

	profiles "go.opentelemetry.io/proto/otlp/profiles/v1development"
	"google.golang.org/protobuf/proto"
)

// dictionary checks every table: entry 0 is the zero value, no entry occurs twice,
// and each entry follows the rules of its type.
func (c *conformance) dictionary() {
	d := c.dict
	c.used = [...][]bool{
		mappingTable: make([]bool, len(d.MappingTable)), locationTable: make([]bool, len(d.LocationTable)),
		functionTable: make([]bool, len(d.FunctionTable)), linkTable: make([]bool, len(d.LinkTable)),
		stringTable: make([]bool, len(d.StringTable)), attributeTable: make([]bool, len(d.AttributeTable)),
		stackTable: make([]bool, len(d.StackTable)),
	}
	c.strings(d.StringTable)
	eachEntry(c, mappingTable, d.MappingTable, c.mapping)
	eachEntry(c, locationTable, d.LocationTable, c.location)
	eachEntry(c, functionTable, d.FunctionTable, c.function)
	eachEntry(c, linkTable, d.LinkTable, c.link)
	eachEntry(c, attributeTable, d.AttributeTable, c.attribute)
	eachEntry(c, stackTable, d.StackTable, c.stack)
}

func (c *conformance) strings(table []string) {
	if len(table) == 0 {
		c.fault("string_table", "it is empty: entry 0 is missing")
		return
	}
	if table[0] != "" {
		c.fault("string_table[0]", "%q is not the empty string", table[0])
	}
	seen := map[string]int{}
	for i, s := range table {
		if first, ok := seen[s]; ok {
			c.fault(fmt.Sprintf("string_table[%d]", i), "%q is entry %d too", s, first)
			continue
		}
		seen[s] = i
	}
}

func eachEntry[M proto.Message](c *conformance, table tableKind, entries []M, rules func(where string, m M)) {
	if len(entries) == 0 {
		c.fault(tableKinds[table], "it is empty: entry 0 is missing")
	}
	seen := map[string]int{}
	for i, m := range entries {
		where := fmt.Sprintf("%s[%d]", tableKinds[table], i)
		// Deterministic output is enough to compare messages within one program.
		content, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		switch first, ok := seen[string(content)]; {
		case err != nil:
			c.fault(where, "%v", err)
		case ok:
			c.fault(where, "it is the same as entry %d", first)
		default:
			seen[string(content)] = i
		}
		if i > 0 {
			rules(where, m)
		} else if !isZeroEntry(m) {
			c.fault(where, "%v is not the zero value", m)
		}
	}
}

// isZeroEntry accepts the forms that are in use: an attribute with an empty
// value (pdata writes it), a link of zero bytes (profiles.proto asks for it).
func isZeroEntry(m proto.Message) bool {
	m = proto.Clone(m)
	switch m := m.(type) {
	case *profiles.KeyValueAndUnit:
		if m.Value != nil && m.Value.Value == nil {
			m.Value = nil
		}
	case *profiles.Link:
		if bytes.Equal(m.TraceId, make([]byte, 16)) && bytes.Equal(m.SpanId, make([]byte, 8)) {
			m.TraceId, m.SpanId = nil, nil
		}
	}
	return proto.Size(m) == 0
}

func (c *conformance) mapping(where string, m *profiles.Mapping) {
	c.text(where+".filename_strindex", m.FilenameStrindex)
	c.attributes(where, m.AttributeIndices)
	if (m.MemoryStart != 0 || m.MemoryLimit != 0) && m.MemoryStart >= m.MemoryLimit {
		c.fault(where, "memory_start %#x is not below memory_limit %#x", m.MemoryStart, m.MemoryLimit)
	}
}

func (c *conformance) location(where string, l *profiles.Location) {
	c.attributes(where, l.AttributeIndices)
	if c.ref(where+".mapping_index", mappingTable, l.MappingIndex) && l.MappingIndex != 0 {
		m := c.dict.MappingTable[l.MappingIndex]
		if m.MemoryLimit != 0 && (l.Address < m.MemoryStart || l.Address >= m.MemoryLimit) {
			c.fault(where, "address %#x is outside its mapping, %#x to %#x", l.Address, m.MemoryStart, m.MemoryLimit)
		}
	}
	for i, line := range l.Lines {
		at := fmt.Sprintf("%s.lines[%d]", where, i)
		c.ref(at+".function_index", functionTable, line.FunctionIndex)
		if line.Line < 0 || line.Column < 0 {
			c.fault(at, "line %d or column %d is negative", line.Line, line.Column)
		}
	}
}

func (c *conformance) function(where string, f *profiles.Function) {
	name := c.text(where+".name_strindex", f.NameStrindex)
	system := c.text(where+".system_name_strindex", f.SystemNameStrindex)
	file := c.text(where+".filename_strindex", f.FilenameStrindex)
	if name == "" && system == "" && file == "" {
		c.fault(where, "it has no name, system name or file name")
	}
	if f.StartLine < 0 {
		c.fault(where, "start_line %d is negative", f.StartLine)
	}
}

func (c *conformance) link(where string, l *profiles.Link) {
	c.id(where+".trace_id", l.TraceId, 16)
	c.id(where+".span_id", l.SpanId, 8)
}

// id checks an id that must be set.
func (c *conformance) id(where string, id []byte, length int) {
	if len(id) != length {
		c.fault(where, "it has %d bytes, not %d", len(id), length)
	} else if bytes.Equal(id, make([]byte, length)) {
		c.fault(where, "it is all zeros")
	}
}

func (c *conformance) attribute(where string, a *profiles.KeyValueAndUnit) {
	if c.text(where+".key_strindex", a.KeyStrindex) == "" {
		c.fault(where, "the key is empty")
	}
	c.text(where+".unit_strindex", a.UnitStrindex)
	c.value(where+".value", a.Value)
}

func (c *conformance) stack(where string, s *profiles.Stack) {
	for _, i := range s.LocationIndices {
		c.ref(where+".location_indices", locationTable, i)
	}
}
