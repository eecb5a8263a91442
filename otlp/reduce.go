package otlp

import (
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
)

// reducer writes a dictionary with those entries of another that are needed. Where
// indices[i] of a table is below 0, the entry is not in the new one. The methods of a nil
// reducer do nothing.
type reducer struct {
	merger
	entries     [8][]extent // of the tables, in source
	source      []byte
	unknownSize int // how many bytes at the beginning of new are fields that this version does not know
	new         []byte
	count       [8]int32     // of the entries in new
	added       []addedEntry // to new, in order
}

type extent struct{ begin, end int32 }

type addedEntry struct {
	table uint8
	index int32
}

// newReducer reads the dictionary of a checked request.
func newReducer(request []byte) *reducer {
	r := &reducer{source: ExportProfilesServiceRequest(request).Dictionary()}
	for c := (wire.Cursor{Buf: r.source}); c.Next(); {
		switch of := entryOf(msgProfilesDictionary, c.Tag()); {
		case of.op == opUnknown:
			r.new = append(r.new, r.source[c.Start:c.End]...)
		case c.Num < uint32(len(r.entries)):
			r.entries[c.Num] = append(r.entries[c.Num], extent{int32(c.End - len(c.Bytes)), int32(c.End)})
			r.tables[c.Num].indices = append(r.tables[c.Num].indices, -1)
		}
	}
	r.unknownSize = len(r.new)
	r.reset()
	return r
}

// reset begins a new dictionary: first entries stay first.
func (r *reducer) reset() {
	if r == nil {
		return
	}
	r.restore(reducerState{new: r.unknownSize})
	for _, table := range dictionaryOrder {
		r.add(uint8(table), 0)
	}
}

// reducerState is the length of a dictionary.
type reducerState struct{ new, added int }

func (r *reducer) state() (s reducerState) {
	if r != nil {
		s = reducerState{len(r.new), len(r.added)}
	}
	return s
}

// restore removes what was added since.
func (r *reducer) restore(s reducerState) {
	if r == nil {
		return
	}
	for _, e := range r.added[s.added:] {
		r.tables[e.table].indices[e.index] = -1
		r.count[e.table]--
	}
	r.new, r.added = r.new[:s.new], r.added[:s.added]
}

// add adds an entry, after those that it refers to.
func (r *reducer) add(table uint8, i uint64) {
	if i >= uint64(len(r.entries[table])) || r.tables[table].indices[i] >= 0 {
		return
	}
	at := r.entries[table][i]
	entry, of := r.source[at.begin:at.end], entryOf(msgProfilesDictionary, uint32(table)<<3|uint32(wire.TypeBytes))
	e := wire.Encoder{}
	if of.op == opMessage {
		r.require(of.arg, entry)
		e.Buf = r.new
		mark := e.Open(uint32(table))
		r.rewrite(&e, of.arg, entry)
		e.Close(mark)
	} else {
		e.Buf = r.new
		e.Bytes(uint32(table), entry)
	}
	r.new = e.Buf
	r.tables[table].indices[i] = r.count[table]
	r.count[table]++
	r.added = append(r.added, addedEntry{table, int32(i)})
}

// require adds the entries that a message refers to.
func (r *reducer) require(message uint8, b []byte) {
	for c := (wire.Cursor{Buf: b}); c.Next(); {
		r.requireField(message, &c)
	}
}

func (r *reducer) requireField(message uint8, c *wire.Cursor) {
	switch of := entryOf(message, c.Tag()); {
	case of.op == opIndex:
		r.add(of.arg, c.Scalar)
	case of.op == opPackedIndex:
		for i := 0; i < len(c.Bytes); {
			v, next, err := wire.Varint(c.Bytes, i)
			if err != nil { // only of bytes that Check has not seen
				return
			}
			r.add(of.arg, v)
			i = next
		}
	case of.op < opMessage || of.op == opOne || of.arg == msgProfilesDictionary:
	default:
		r.require(of.arg, c.Bytes)
	}
}

// size is that of the dictionary as a field of the request.
func (r *reducer) size() int {
	if r == nil || len(r.new) == 0 {
		return 0
	}
	return 1 + wire.SizeVarint(uint64(len(r.new))) + len(r.new)
}

// write appends the dictionary, if there is one.
func (r *reducer) write(e *wire.Encoder) {
	if r.size() > 0 {
		e.Bytes(otlpfield.ExportProfilesServiceRequestDictionary, r.new)
	}
}
