package attraction

import (
	"bytes"

	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// maxFates and maxFateBytes bound the keys whose fate is remembered.
const (
	maxFates     = 1024
	maxFateBytes = 128
)

// An Editor applies actions to the attributes of one message at a time:
//
//	collect   message ──► records   the attributes that the actions name
//	apply     records ──► records
//	append    message, records ──► new message
//
// It is used by one goroutine at a time.
type Editor struct {
	actions *Actions
	pass    *otlpedit.Pass
	message []byte
	num     uint32
	// lastEnd is where the last attribute ends; 0 if there is none.
	lastEnd int
	// matched says that a pattern deletes or hashes an attribute that has no record.
	matched  bool
	arena    arena
	heads    []int32 // by slot: 1 + the index of its first record, which may be deleted since
	records  []record
	original int // how many of records are in message; the rest is inserted
	patches  []Patch
	// fates are what patterns do to keys, as far as they occurred before.
	fates map[string]fate
}

// record is an attribute that some step may read or change.
type record struct {
	value []byte // an AnyValue, nil if there is none
	slot  int32
	// start and end are the bounds of the field in the message, keyEnd is where its key
	// ends; 0: the attribute is not plain.
	start, end, keyEnd int32
	touched, deleted   bool
}

// NewEditor returns an editor.
func (p *Actions) NewEditor() *Editor {
	e := &Editor{actions: p, heads: make([]int32, len(p.keys.names))}
	if len(p.patterns) > 0 {
		e.fates = map[string]fate{}
	}
	return e
}

// Edit applies the actions to the attributes in field num, which is below 16, of message
// m, a part of the request that pass edits. If that changes them, the edited message is
// appended to w.
func (e *Editor) Edit(pass *otlpedit.Pass, m []byte, num uint32, w *otlpedit.Writer) (changed bool, err error) {
	e.begin(pass, m, num)
	e.collect()
	if err := e.apply(); err != nil || !e.changed() {
		return false, err
	}
	return true, e.appendTo(w)
}

// Begin reads the attributes in field num, which is below 16, of message m, a part of the
// request that pass edits. It is followed by any number of Text, SetText and Remove, and by Finish, for
// other edits than actions.
func (e *Editor) Begin(pass *otlpedit.Pass, m []byte, num uint32) {
	e.begin(pass, m, num)
	e.collect()
}

// SetText sets the attribute of a slot (Actions.Slot) to a text, which is copied.
func (e *Editor) SetText(slot int, text []byte) error {
	value, err := e.text(text)
	if err == nil {
		e.set(slot, value)
	}
	return err
}

// Remove removes the first attribute of a slot (Actions.Slot).
func (e *Editor) Remove(slot int) {
	if r := e.first(slot); r != nil {
		r.deleted = true
	}
}

// Text returns the text of the first attribute of a slot (Actions.Slot); nil if there is
// none, or if it has another type.
func (e *Editor) Text(slot int) []byte {
	r := e.first(slot)
	if r == nil {
		return nil
	}
	if v := e.resolve(r.value); v.Kind() == otlp.KindString {
		return v.Text()
	}
	return nil
}

// A Patch is a range of a message, of whole fields, and what replaces it. The range may be
// empty at the end of the message.
type Patch struct {
	Start, End int
	Fields     []byte
}

// Finish appends the edited message to w, if an attribute was changed or there are
// patches, which are in order and do not touch attributes.
func (e *Editor) Finish(w *otlpedit.Writer, patches []Patch) (changed bool, err error) {
	if len(patches) == 0 && !e.changed() {
		return false, nil
	}
	e.patches = patches
	err = e.appendTo(w)
	for _, p := range e.patches {
		w.Raw(p.Fields)
	}
	e.patches = nil
	return true, err
}

// copy appends a range of the message, with the patches in it.
func (e *Editor) copy(w *otlpedit.Writer, start, end int) {
	for len(e.patches) > 0 && e.patches[0].Start < end {
		w.Raw(e.message[start:e.patches[0].Start])
		w.Raw(e.patches[0].Fields)
		start, e.patches = e.patches[0].End, e.patches[1:]
	}
	w.Raw(e.message[start:end])
}

// End forgets what belongs to the request. It is called after the last Edit.
func (e *Editor) End() {
	e.pass, e.message = nil, nil
	if cap(e.arena.buf) > maxArenaBytes {
		e.arena.buf = nil
	}
	clear(e.records[:cap(e.records)])
}

func (e *Editor) begin(pass *otlpedit.Pass, m []byte, num uint32) {
	e.pass, e.message, e.num, e.lastEnd, e.matched = pass, m, num, 0, false
	e.records, e.arena.buf = e.records[:0], e.arena.buf[:0]
	clear(e.heads)
}

func (e *Editor) collect() {
	s := attrs.Scan(e.pass, e.message, e.num)
	for s.Next() {
		e.lastEnd = s.End
		slot := e.actions.keys.find(s.Key)
		if slot == noSlot || e.heads[slot] != 0 && e.seen(slot) >= e.actions.reach[slot] {
			e.matched = e.matched || e.fates != nil && e.fate(s.Key) != fate{}
			continue
		}
		if e.heads[slot] == 0 {
			e.heads[slot] = int32(len(e.records) + 1)
		}
		r := e.add(slot, s.Value)
		r.start, r.end = int32(s.Start), int32(s.End)
		if s.Plain {
			r.keyEnd = int32(s.End - len(s.KeyValue) + 2 + len(s.Key))
		}
	}
	e.original = len(e.records)
}

// add appends a record. What it had before is overwritten.
func (e *Editor) add(slot int, value []byte) *record {
	n := len(e.records)
	if n == cap(e.records) {
		e.records = append(e.records, record{})
	}
	e.records = e.records[:n+1]
	r := &e.records[n]
	r.value, r.slot, r.keyEnd, r.touched, r.deleted = value, int32(slot), 0, false, false
	return r
}

// seen returns how many records a slot has.
func (e *Editor) seen(slot int) (n int) {
	for i := range e.records {
		if int(e.records[i].slot) == slot {
			n++
		}
	}
	return n
}

// fate is Actions.fate, remembered.
func (e *Editor) fate(key []byte) fate {
	f, known := e.fates[string(key)]
	if !known {
		f = e.actions.fate(key)
		if len(e.fates) < maxFates && len(key) <= maxFateBytes {
			e.fates[string(key)] = f
		}
	}
	return f
}

// first returns the first attribute of a slot that is left; nil if there is none.
func (e *Editor) first(slot int) *record {
	head := e.heads[slot]
	if head == 0 {
		return nil
	}
	if r := &e.records[head-1]; !r.deleted {
		return r
	}
	e.heads[slot] = 0
	for i := int(head); i < len(e.records); i++ {
		if r := &e.records[i]; int(r.slot) == slot && !r.deleted {
			e.heads[slot] = int32(i + 1)
			return r
		}
	}
	return nil
}

func (e *Editor) apply() (err error) {
	for i := range e.actions.steps {
		s := &e.actions.steps[i]
		switch s.op {
		case remove:
			e.remove(s)
		case hash:
			err = e.hashMatching(s)
		case extract:
			err = e.extract(s)
		case convert:
			err = e.convertFirst(s)
		default:
			err = e.write(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write does insert, update and upsert.
func (e *Editor) write(s *step) error {
	r := e.first(s.slot)
	if r == nil && s.op == update || r != nil && s.op == insert {
		return nil
	}
	value, ok, err := e.source(s)
	if err != nil || !ok {
		return err
	}
	if r == nil {
		e.insert(s.slot, value)
	} else {
		r.value, r.touched = value, true
	}
	return nil
}

// set writes an attribute, a new one if there is none.
func (e *Editor) set(slot int, value []byte) {
	if r := e.first(slot); r != nil {
		r.value, r.touched = value, true
		return
	}
	e.insert(slot, value)
}

func (e *Editor) insert(slot int, value []byte) {
	e.add(slot, value)
	e.heads[slot] = int32(len(e.records))
}

func (e *Editor) hashMatching(s *step) error {
	if err := e.hashRecord(e.first(s.slot)); err != nil || s.matches == nil {
		return err
	}
	for i := range e.records {
		if r := &e.records[i]; s.matches[r.slot] && !r.deleted {
			if err := e.hashRecord(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *Editor) hashRecord(r *record) error {
	if r == nil {
		return nil
	}
	value, err := e.hash(r.value)
	r.value, r.touched = value, true
	return err
}

func (e *Editor) convertFirst(s *step) error {
	r := e.first(s.slot)
	if r == nil {
		return nil
	}
	value, err := e.convert(r.value, s.to)
	r.value, r.touched = value, true
	return err
}

// source returns the value that a step writes.
func (e *Editor) source(s *step) (value []byte, ok bool, err error) {
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

func (e *Editor) remove(s *step) {
	if r := e.first(s.slot); r != nil {
		r.deleted = true
	}
	if s.matches == nil {
		return
	}
	for i := range e.records {
		if r := &e.records[i]; s.matches[r.slot] {
			r.deleted = true
		}
	}
}

func (e *Editor) changed() bool {
	if e.matched {
		return true
	}
	for i := range e.records {
		if r := &e.records[i]; r.deleted == (i < e.original) || e.replaced(r) {
			return true
		}
	}
	return false
}

// replaced reports whether an attribute that was there and is kept has another value than
// at first.
func (e *Editor) replaced(r *record) bool {
	if !r.touched || r.deleted {
		return false
	}
	_, was := e.read(r)
	return !bytes.Equal(r.value, was) || (r.value == nil) != (was == nil)
}

// read returns an attribute as it is in the message, and its value.
func (e *Editor) read(r *record) (attribute, value []byte) {
	s := attrs.Scan(e.pass, e.message[r.start:r.end], e.num)
	s.Next()
	return s.KeyValue, s.Value
}

// appendTo writes the edited message. New attributes follow the last old one.
func (e *Editor) appendTo(w *otlpedit.Writer) error {
	copied := 0
	if e.matched {
		var err error
		if copied, err = e.appendMatched(w); err != nil {
			return err
		}
	} else {
		for i := range e.records[:e.original] {
			if r := &e.records[i]; r.deleted || e.replaced(r) {
				e.copy(w, copied, int(r.start))
				e.appendReplaced(w, r)
				copied = int(r.end)
			}
		}
	}
	e.copy(w, copied, e.lastEnd)
	for i := range e.records[e.original:] {
		if r := &e.records[e.original+i]; !r.deleted {
			w.KeyedValue(e.num, e.actions.fields[r.slot], r.value)
		}
	}
	e.copy(w, e.lastEnd, len(e.message))
	return nil
}

// appendReplaced writes what is in the place of an attribute that changes.
func (e *Editor) appendReplaced(w *otlpedit.Writer, r *record) {
	switch {
	case r.deleted:
	case r.keyEnd != 0:
		key := e.actions.fields[r.slot]
		w.KeyedValue(e.num, e.message[int(r.keyEnd)-len(key):r.keyEnd], r.value)
	default:
		attribute, _ := e.read(r)
		w.AttributeWithValue(e.num, attribute, r.value)
	}
}

// appendMatched writes the attributes that there were, of which some are deleted or
// hashed by a pattern and have no record.
func (e *Editor) appendMatched(w *otlpedit.Writer) (copied int, err error) {
	next := 0
	s := attrs.Scan(e.pass, e.message, e.num)
	for s.Next() {
		if next < e.original && int(e.records[next].start) == s.Start {
			if r := &e.records[next]; r.deleted || e.replaced(r) {
				e.copy(w, copied, s.Start)
				e.appendReplaced(w, r)
				copied = s.End
			}
			next++
			continue
		}
		f := e.fate(s.Key)
		if f == (fate{}) {
			continue
		}
		e.copy(w, copied, s.Start)
		copied = s.End
		if f.deleted {
			continue
		}
		begin := len(e.arena.buf)
		value, err := e.hashTimes(s.Value, f.hashes)
		if err != nil {
			return 0, err
		}
		w.AttributeWithValue(e.num, s.KeyValue, value)
		e.arena.buf = e.arena.buf[:min(begin, len(e.arena.buf))] // it was copied
	}
	return copied, nil
}
