package otlp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// ErrNotMerged is the error of Merge for requests that have to stay apart.
var ErrNotMerged = errors.New("the requests cannot be merged")

// Merge appends one request to dst that has everything of several checked requests of
// signal s, in their order. Where that is possible it is their concatenation. Profiles
// get one dictionary: its entries are in the order of the requests, and equal ones are
// there once; the indices of the requests are rewritten. Unknown fields stay as they
// are.
//
// The dictionary's tables begin with the zero value (profiles.proto, "The first entry").
// If a request has a table that does not, Merge returns ErrNotMerged, and dst. Beside dst
// Merge allocates at most MergeBytes.
func Merge(s Signal, dst []byte, requests ...[]byte) ([]byte, error) {
	if s.Spec().Concatenable || len(requests) == 1 {
		for _, r := range requests {
			dst = append(dst, r...)
		}
		return dst, nil
	}
	m := merger{}
	for i, r := range requests {
		if err := m.checkZero(r); err != nil {
			return dst, fmt.Errorf("merge %s: request %d: %w", s, i, err)
		}
	}
	e := wire.Encoder{Buf: dst}
	for _, r := range requests {
		m.read(r)
		m.rewrite(&e, roots[s], r)
	}
	m.writeDictionary(&e)
	return e.Buf, nil
}

// entryBytes is what an entry of a dictionary takes in a merger beside its content: its
// places in the list, the map and the list of indices, while these grow.
const entryBytes = 160

// MergeBytes returns how many bytes Merge allocates at most beside dst.
func MergeBytes(s Signal, requests ...[]byte) (n int) {
	if s.Spec().Concatenable || len(requests) == 1 {
		return 0
	}
	for _, r := range requests {
		for _, entries := range tableSizes(r) {
			n += entryBytes * int(entries)
		}
		n += 2 * len(ExportProfilesServiceRequest(r).Dictionary())
	}
	return n
}

// dictionaryOrder has the tables by their field numbers, each behind those that its
// entries refer to.
var dictionaryOrder = [...]uint32{
	otlpfield.ProfilesDictionaryStringTable,
	otlpfield.ProfilesDictionaryAttributeTable,
	otlpfield.ProfilesDictionaryFunctionTable,
	otlpfield.ProfilesDictionaryMappingTable,
	otlpfield.ProfilesDictionaryLinkTable,
	otlpfield.ProfilesDictionaryLocationTable,
	otlpfield.ProfilesDictionaryStackTable,
}

// merger collects the entries of dictionaries.
type merger struct {
	tables  [8]mergedTable // by field number
	unknown []byte         // fields of dictionaries that this version does not know
	buf     []byte
}

// mergedTable is a table of the new dictionary.
type mergedTable struct {
	entries []string
	index   map[string]int32
	// indices are those of the request that is being rewritten, by its own.
	indices []int32
}

// add returns the index of an entry, which is copied if it is new.
func (t *mergedTable) add(entry []byte) int32 {
	if i, ok := t.index[string(entry)]; ok {
		return i
	}
	if t.index == nil {
		t.index = map[string]int32{}
	}
	own := string(entry)
	i := int32(len(t.entries))
	t.index[own] = i
	t.entries = append(t.entries, own)
	return i
}

// at returns the new index of an index of the request. Check has seen that it is within
// the table, or 0.
func (t *mergedTable) at(i uint64) uint64 {
	if i >= uint64(len(t.indices)) {
		return i
	}
	return uint64(t.indices[i])
}

// checkZero returns an error if a table of the request does not begin with the zero
// value.
func (m *merger) checkZero(request []byte) error {
	var seen [len(m.tables)]bool
	for c := (wire.Cursor{Buf: ExportProfilesServiceRequest(request).Dictionary()}); c.Next(); {
		if c.Num >= uint32(len(seen)) || c.Type != wire.TypeBytes || seen[c.Num] {
			continue
		}
		seen[c.Num] = true
		if len(c.Bytes) > 0 {
			return fmt.Errorf("%w: the first entry of %s is not the zero value", ErrNotMerged, fieldNames[msgProfilesDictionary][c.Num])
		}
	}
	return nil
}

// read adds the dictionary of a request.
func (m *merger) read(request []byte) {
	dictionary := ExportProfilesServiceRequest(request).Dictionary()
	for i := range m.tables {
		m.tables[i].indices = m.tables[i].indices[:0]
	}
	for _, table := range dictionaryOrder {
		t, message := &m.tables[table], entryOf(msgProfilesDictionary, table<<3|uint32(wire.TypeBytes))
		for c := (wire.Cursor{Buf: dictionary}); c.Next(); {
			if c.Num != table || c.Type != wire.TypeBytes {
				continue
			}
			entry := c.Bytes
			if message.op == opMessage {
				e := wire.Encoder{Buf: m.buf[:0]}
				m.rewrite(&e, message.arg, c.Bytes)
				m.buf, entry = e.Buf, e.Buf
			}
			t.indices = append(t.indices, t.add(entry))
		}
	}
	for c := (wire.Cursor{Buf: dictionary}); c.Next(); {
		if entryOf(msgProfilesDictionary, c.Tag()).op == opUnknown {
			m.unknown = append(m.unknown, dictionary[c.Start:c.End]...)
		}
	}
}

// rewrite appends the fields of a message with its indices rewritten. The dictionary
// itself is left out.
func (m *merger) rewrite(e *wire.Encoder, message uint8, b []byte) {
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		m.rewriteField(e, message, &c)
	}
}

func (m *merger) rewriteField(e *wire.Encoder, message uint8, c *wire.Cursor) {
	switch of := entryOf(message, c.Tag()); {
	case of.op == opIndex:
		e.Varint(c.Num, m.tables[of.arg].at(c.Scalar))
	case of.op == opPackedIndex:
		mark := e.Open(c.Num)
		for i := 0; i < len(c.Bytes); {
			v, next, err := wire.Varint(c.Bytes, i)
			if err != nil { // only of bytes that Check has not seen
				break
			}
			e.Buf = binary.AppendUvarint(e.Buf, m.tables[of.arg].at(v))
			i = next
		}
		e.Close(mark)
	case of.op < opMessage || of.op == opOne:
		e.Buf = append(e.Buf, c.Buf[c.Start:c.End]...)
	case of.arg != msgProfilesDictionary:
		mark := e.Open(c.Num)
		m.rewrite(e, of.arg, c.Bytes)
		e.Close(mark)
	}
}

// entryOf returns what a tag means in a message.
func entryOf(message uint8, tag uint32) tagEntry {
	if tag >= uint32(len(tables[message])) {
		return tagEntry{}
	}
	return tables[message][tag]
}

// writeDictionary appends the dictionary, if there was one.
func (m *merger) writeDictionary(e *wire.Encoder) {
	any := len(m.unknown) > 0
	for i := range m.tables {
		any = any || len(m.tables[i].entries) > 0
	}
	if !any {
		return
	}
	mark := e.Open(otlpfield.ExportProfilesServiceRequestDictionary)
	for table := range m.tables {
		for _, entry := range m.tables[table].entries {
			e.String(uint32(table), entry)
		}
	}
	e.Raw(m.unknown)
	e.Close(mark)
}
