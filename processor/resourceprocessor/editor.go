package resourceprocessor

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
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
	// matched says that a pattern deletes or hashes an attribute that has no record.
	matched  bool
	arena    arena
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
	changed, err := e.edit(resource)
	if err != nil || !changed {
		return otlpedit.Keep, err
	}
	return otlpedit.Replace, e.appendTo(w)
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.pass, e.resource = nil, nil
	if cap(e.arena.buf) > maxArenaBytes {
		e.arena.buf = nil
	}
	clear(e.records[:cap(e.records)])
}

// edit applies the actions and reports whether the resource changes.
func (e *editor) edit(resource []byte) (changed bool, err error) {
	e.resource, e.lastEnd, e.matched = resource, 0, false
	e.records, e.arena.buf = e.records[:0], e.arena.buf[:0]
	clear(e.seen)
	e.collect()
	e.original = len(e.records)
	for i := range e.actions.steps {
		if err := e.apply(&e.actions.steps[i]); err != nil {
			return false, err
		}
	}
	return e.changed(), nil
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
		} else if deleted, hashes := e.actions.fate(key); deleted || hashes > 0 {
			e.matched = true
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

func (e *editor) apply(s *step) error {
	switch s.op {
	case remove:
		e.remove(s)
		return nil
	case hash:
		return e.hashMatching(s)
	case extract:
		return e.extract(s)
	case convert:
		return e.change(e.first(s.slot), func(value []byte) ([]byte, error) { return e.convert(value, s.to) })
	}
	value, ok, err := e.source(s)
	if err != nil || !ok {
		return err
	}
	switch r := e.first(s.slot); {
	case r == nil && s.op != update:
		e.set(s.slot, value)
	case r != nil && s.op != insert:
		r.value = value
	}
	return nil
}

// set writes an attribute, a new one if there is none.
func (e *editor) set(slot int, value []byte) {
	if r := e.first(slot); r != nil {
		r.value = value
		return
	}
	e.records = append(e.records, record{slot: slot, value: value})
}

// change replaces the value of an attribute, if there is one.
func (e *editor) change(r *record, to func(value []byte) ([]byte, error)) error {
	if r == nil {
		return nil
	}
	value, err := to(r.value)
	if err == nil {
		r.value = value
	}
	return err
}

func (e *editor) hashMatching(s *step) error {
	if err := e.change(e.first(s.slot), e.hash); err != nil {
		return err
	}
	for i := range e.records {
		if r := &e.records[i]; s.matches != nil && s.matches[r.slot] && !r.deleted {
			if err := e.change(r, e.hash); err != nil {
				return err
			}
		}
	}
	return nil
}

// source returns the value that a step writes.
func (e *editor) source(s *step) (value []byte, ok bool, err error) {
	if s.value != nil {
		return s.value, true, nil
	}
	if s.from != noSlot {
		if r := e.first(s.from); r != nil {
			return r.value, true, nil
		}
	}
	if s.context != "" {
		if text, ok := fromContext(pipeline.ClientOf(e.pass), s.context); ok {
			value, err := e.text([]byte(text))
			return value, true, err
		}
	}
	return s.fallback, s.fallback != nil, nil
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
	return e.matched
}

// replaced reports whether an attribute that is kept has another value than at
// first.
func (r *record) replaced() bool {
	return !r.deleted && (!bytes.Equal(r.value, r.was) || (r.value == nil) != (r.was == nil))
}

// appendTo writes the edited resource. New attributes follow the last old one.
func (e *editor) appendTo(w *otlpedit.Writer) error {
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
		drop, replaced, value, err := e.outcome(r, c.Bytes)
		if err != nil {
			return err
		}
		if drop || replaced {
			w.Raw(e.resource[copied:c.Start])
			if !drop {
				w.AttributeWithValue(otlpfield.ResourceAttributes, c.Bytes, value)
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
	return nil
}

// outcome returns whether an attribute is removed, or else has another value; r is its
// record, if it has one.
func (e *editor) outcome(r *record, attribute []byte) (drop, replaced bool, value []byte, err error) {
	if r != nil {
		return r.deleted, r.replaced(), r.value, nil
	}
	if !e.matched {
		return false, false, nil, nil
	}
	f := otlp.KeyValue(attribute).Decode()
	drop, hashes := e.actions.fate(e.pass.KeyOf(f))
	if drop || hashes == 0 {
		return drop, false, nil, nil
	}
	begin := len(e.arena.buf)
	value, err = e.hashTimes(f.Value, hashes)
	e.arena.buf = e.arena.buf[:min(begin, len(e.arena.buf))] // it is copied before the next one
	return false, true, value, err
}

func (e *editor) appendInserted(w *otlpedit.Writer) {
	for _, r := range e.records[e.original:] {
		if !r.deleted {
			w.Attribute(otlpfield.ResourceAttributes, e.actions.names[r.slot], r.value)
		}
	}
}
