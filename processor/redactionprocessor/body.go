package redactionprocessor

import (
	"strconv"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// body finds what becomes of the body of a log record.
func (e *editor) body(record []byte) {
	old := wire.Merged(record, otlpfield.LogRecordBody)
	w := e.pass.Scratch()
	e.path = e.path[:0]
	if e.topValue(w, old) && e.err == nil {
		e.replaceBody(record, w.Written())
	}
	e.summarize(bodyMetas)
}

// replaceBody puts a value in the place of the body, or of its first part.
func (e *editor) replaceBody(record, value []byte) {
	next := cut{start: len(record), end: len(record), value: value, body: true}
	for c := (wire.Cursor{Buf: record}); c.Next(); {
		if c.Num == otlpfield.LogRecordBody && c.Type == wire.TypeBytes {
			next.start, next.end = c.Start, c.End
			e.cut(next)
			next = cut{removed: true}
		}
	}
	if !next.removed {
		e.cut(next)
	}
}

// topValue is value for the body itself, which has no path.
func (e *editor) topValue(w *otlpedit.Writer, body []byte) (changed bool) {
	u := otlp.AnyValue(body).Value()
	if isList(u) {
		return e.list(w, body, u, true)
	}
	text := e.text(body, true)
	if e.allowedValues.match(text) {
		return false // the Collector does not count it
	}
	return e.maskText(w, body, text, []byte("body"))
}

// value appends what becomes of a value at e.path. If nothing changes, what it has appended
// is to be ignored.
func (e *editor) value(w *otlpedit.Writer, value []byte) (changed bool) {
	u := otlp.AnyValue(value).Value()
	if isList(u) {
		return e.list(w, value, u, false)
	}
	text := e.text(value, true)
	if e.allowedValues.match(text) {
		e.note(allowedOutcome, e.path)
		return false
	}
	return e.maskText(w, value, text, e.path)
}

func (e *editor) maskText(w *otlpedit.Writer, value, text, path []byte) bool {
	masked, changed := e.maskBlocked(text)
	if changed {
		e.note(maskedOutcome, path)
		appendUnknown(w, value)
		w.Bytes(otlpfield.AnyValueStringValue, masked)
	}
	return changed
}

func isList(u otlp.Union) bool {
	return u.Num == otlpfield.AnyValueKvlistValue || u.Num == otlpfield.AnyValueArrayValue
}

// list is value for lists and maps.
func (e *editor) list(w *otlpedit.Writer, value []byte, u otlp.Union, top bool) (changed bool) {
	appendUnknown(w, value)
	mark := w.Open(u.Num)
	if u.Num == otlpfield.AnyValueKvlistValue {
		changed = w.Each(u.Bytes, otlpfield.KeyValueListValues, func(kv []byte) otlpedit.Verdict { return e.entry(w, kv, top) })
	} else {
		i := 0
		changed = w.Each(u.Bytes, otlpfield.ArrayValueValues, func(element []byte) otlpedit.Verdict {
			n := e.descend(top, nil, i)
			changed := e.value(w, element)
			e.path = e.path[:n]
			i++
			return attrs.Verdict(changed)
		})
	}
	w.Close(mark)
	return changed
}

// entry appends what becomes of an entry of a map.
func (e *editor) entry(w *otlpedit.Writer, kv []byte, top bool) otlpedit.Verdict {
	f := otlp.KeyValue(kv).Decode()
	key := e.pass.KeyOf(f)
	n := e.descend(top, key, -1)
	defer func() { e.path = e.path[:n] }()
	how := e.fateOf(key)
	switch how {
	case ignore:
		e.note(ignoredOutcome, e.path)
		return otlpedit.Keep
	case remove:
		e.note(redactedOutcome, e.path)
		return otlpedit.Drop
	}
	w.Without(kv, otlpfield.KeyValueValue)
	mark := w.Open(otlpfield.KeyValueValue)
	changed := how == blocked
	if changed {
		e.note(maskedOutcome, e.path)
		w.Bytes(otlpfield.AnyValueStringValue, e.replace(whole, e.text(f.Value, false)))
	} else {
		changed = e.value(w, f.Value)
	}
	w.Close(mark)
	return attrs.Verdict(changed)
}

// descend adds a key, or an index, to the path, if it is needed, and returns how long it was.
func (e *editor) descend(top bool, key []byte, index int) (n int) {
	n = len(e.path)
	if e.summary != debug || e.err != nil {
		return n
	}
	if need := n + len(key) + 32; need > cap(e.path) && 2*need > maxKeptBytes {
		e.reserve(2 * need)
	}
	if !top {
		e.path = append(e.path, '.')
	}
	if index < 0 {
		e.path = append(e.path, key...)
	} else {
		e.path = append(strconv.AppendInt(append(e.path, '['), int64(index), 10), ']')
	}
	return n
}

// appendUnknown appends the fields of an AnyValue that it does not know.
func appendUnknown(w *otlpedit.Writer, value []byte) {
	for c := (wire.Cursor{Buf: value}); c.Next(); {
		if c.Num > otlpfield.AnyValueStringValueStrindex {
			w.Raw(value[c.Start:c.End])
		}
	}
}
