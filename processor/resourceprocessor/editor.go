package resourceprocessor

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
)

// editor applies the actions to one resource at a time:
//
//	collect   resource ──► records   the attributes that the actions name
//	apply     records ──► records
//	append    resource, records ──► new resource
type editor struct {
	actions  *compiled
	pass     *otlpedit.Pass // which finds keys in the dictionary
	resource []byte
	// lastEnd is where the last attribute ends; 0 if there is none.
	lastEnd int
	// dropped says that a pattern takes an attribute that has no record.
	dropped  bool
	seen     []int // records by slot
	records  []record
	original int // how many of records stand in resource; the rest is inserted
}

// record is an attribute that some step may read or change.
type record struct {
	slot  int
	start int // of the field in resource
	// value is an AnyValue, nil if there is none; was is what it was at first.
	value, was []byte
	deleted    bool
}

func newEditor(p *compiled) *editor { return &editor{actions: p, seen: make([]int, len(p.names))} }

// Edit implements otlpedit.Editor.
func (e *editor) Edit(pass *otlpedit.Pass, _ otlpedit.Levels, resource []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	e.pass = pass
	if !e.edit(resource) {
		return otlpedit.Keep, nil
	}
	e.appendTo(w)
	return otlpedit.Replace, nil
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.pass, e.resource = nil, nil
	clear(e.records[:cap(e.records)])
}

// edit applies the actions and reports whether the resource changes.
func (e *editor) edit(resource []byte) bool {
	e.resource, e.lastEnd, e.dropped = resource, 0, false
	e.records = e.records[:0]
	clear(e.seen)
	e.collect()
	e.original = len(e.records)
	for i := range e.actions.steps {
		e.apply(&e.actions.steps[i])
	}
	return e.changed()
}

func isAttribute(c *wire.Cursor) bool {
	return c.Num == otlpfield.ResourceAttributes && c.Type == wire.TypeBytes
}

func (e *editor) collect() {
	for c := (wire.Cursor{Buf: e.resource}); c.Next(); {
		if !isAttribute(&c) {
			continue
		}
		e.lastEnd = c.End
		f := otlp.KeyValue(c.Bytes).Decode()
		key := e.pass.KeyOf(f)
		if slot, ok := e.actions.slots[string(key)]; ok && e.seen[slot] < e.actions.reach[slot] {
			e.seen[slot]++
			e.records = append(e.records, record{slot: slot, start: c.Start, value: f.Value, was: f.Value})
		} else if e.actions.drops(key) {
			e.dropped = true
		}
	}
}

// first returns the first attribute of a slot that is left; nil if there is none.
func (e *editor) first(slot int) *record {
	for i := range e.records {
		if r := &e.records[i]; r.slot == slot && !r.deleted {
			return r
		}
	}
	return nil
}

func (e *editor) apply(s *step) {
	if s.op == remove {
		e.remove(s)
		return
	}
	value, ok := e.source(s)
	if !ok {
		return
	}
	switch r := e.first(s.slot); {
	case r == nil && s.op != update:
		e.records = append(e.records, record{slot: s.slot, value: value})
	case r != nil && s.op != insert:
		r.value = value
	}
}

// source returns the value that a step writes.
func (e *editor) source(s *step) (value []byte, ok bool) {
	if s.value != nil {
		return s.value, true
	}
	if s.from != noSlot {
		if r := e.first(s.from); r != nil {
			return r.value, true
		}
	}
	return s.fallback, s.fallback != nil
}

func (e *editor) remove(s *step) {
	if r := e.first(s.slot); r != nil {
		r.deleted = true
	}
	for i := range e.records {
		if r := &e.records[i]; s.matches != nil && s.matches[r.slot] {
			r.deleted = true
		}
	}
}

func (e *editor) changed() bool {
	for i := range e.records {
		if r := &e.records[i]; r.deleted == (i < e.original) || r.replaced() {
			return true
		}
	}
	return e.dropped
}

// replaced reports whether an attribute that is kept has another value than at
// first.
func (r *record) replaced() bool {
	return !r.deleted && (!bytes.Equal(r.value, r.was) || (r.value == nil) != (r.was == nil))
}

// appendTo writes the edited resource. New attributes follow the last old one.
func (e *editor) appendTo(w *otlpedit.Writer) {
	if e.lastEnd == 0 {
		e.appendInserted(w)
	}
	copied, next := 0, 0
	for c := (wire.Cursor{Buf: e.resource}); c.Next(); {
		if !isAttribute(&c) {
			continue
		}
		var r *record
		if next < e.original && e.records[next].start == c.Start {
			r = &e.records[next]
			next++
		}
		if drop := e.drops(r, c.Bytes); drop || r != nil && r.replaced() {
			w.Raw(e.resource[copied:c.Start])
			if !drop {
				w.AttributeWithValue(otlpfield.ResourceAttributes, c.Bytes, r.value)
			}
			copied = c.End
		}
		if c.End == e.lastEnd {
			w.Raw(e.resource[copied:c.End])
			e.appendInserted(w)
			copied = c.End
		}
	}
	w.Raw(e.resource[copied:])
}

// drops reports whether an attribute is removed; r is its record, if it has
// one.
func (e *editor) drops(r *record, attribute []byte) bool {
	if r != nil {
		return r.deleted
	}
	return e.dropped && e.actions.drops(e.pass.Key(attribute))
}

func (e *editor) appendInserted(w *otlpedit.Writer) {
	for _, r := range e.records[e.original:] {
		if !r.deleted {
			w.Attribute(otlpfield.ResourceAttributes, e.actions.names[r.slot], r.value)
		}
	}
}
