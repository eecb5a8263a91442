package redactionprocessor

import (
	"bytes"
	"regexp"
	"slices"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
)

// New returns a processor that removes and masks attributes.
func New(cfg Config, _ component.Settings) (*pipeline.Edits, error) {
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan), nil
}

func (c *Config) plan() (plan otlpedit.Plan, err error) {
	r, err := newRules(c)
	if err != nil {
		return plan, err
	}
	return otlpedit.Plan{
		Edits: otlpedit.Resources | otlpedit.Scopes | otlpedit.Items,
		New:   func() otlpedit.Editor { return &editor{rules: r, fates: map[string]fate{}} },
	}, nil
}

// maxKeptBytes is how large the working memory may be to be kept for the next message;
// less is not reserved. maxFates and maxFateBytes bound the keys whose fate is remembered.
const (
	maxKeptBytes = 64 << 10
	maxFates     = 1024
	maxFateBytes = 128
)

// editor redacts one message after the other.
type editor struct {
	*rules
	pass  *otlpedit.Pass
	err   error // of the memory of the pass
	fates map[string]fate
	room  []byte // for the text of a value
	path  []byte // in a body

	// cuts are the changes of the message, in their order.
	cuts []cut
	// values is the memory of the values in cuts and metas.
	values []byte
	lists  [numOutcomes]keyList
	metas  [numMetas]meta
}

// cut is an attribute that changes, or the body.
type cut struct {
	start, end int
	attribute  []byte
	value      []byte // an AnyValue, nil if there is none
	removed    bool
	body       bool // value is the body
	same       bool // nothing changes; it is here since a summary may
}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, level otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	e.pass = p
	var changed bool
	switch level {
	case otlpedit.Resources:
		changed = e.redact(m, otlpfield.ResourceAttributes, w)
	case otlpedit.Scopes:
		changed = e.redact(m, otlpfield.InstrumentationScopeAttributes, w)
	default:
		if item := items[p.Signal()]; item != nil {
			changed = item(e, m, w)
		}
	}
	return attrs.Verdict(changed && e.err == nil), e.err
}

// items redact an item of each signal.
var items = map[otlp.Signal]func(*editor, []byte, *otlpedit.Writer) bool{
	otlp.Traces: (*editor).span, otlp.Metrics: (*editor).metric, otlp.Logs: (*editor).record,
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.pass, e.err = nil, nil
	clear(e.cuts[:cap(e.cuts)])
	if cap(e.cuts)*64 > maxKeptBytes {
		e.cuts = nil
	}
	for _, b := range []*[]byte{&e.room, &e.values, &e.path} {
		if cap(*b) > maxKeptBytes {
			*b = nil
		}
	}
	for i := range e.lists {
		e.lists[i].forget()
	}
}

func (e *editor) span(m []byte, w *otlpedit.Writer) bool {
	own := e.pass.Scratch()
	changed := e.redact(m, otlpfield.SpanAttributes, own)
	if changed {
		m = own.Written()
	}
	events := w.Each(m, otlpfield.SpanEvents, func(event []byte) otlpedit.Verdict {
		return attrs.Verdict(e.redact(event, otlpfield.SpanEventAttributes, w))
	})
	if changed && !events {
		w.Raw(m)
	}
	return changed || events
}

func (e *editor) metric(m []byte, w *otlpedit.Writer) bool {
	changed, err := attrs.EditPoints(m, w, func(point []byte, num uint32) (bool, error) { return e.redact(point, num, w), e.err })
	return changed && err == nil
}

func (e *editor) record(m []byte, w *otlpedit.Writer) bool {
	end := e.attributes(m, otlpfield.LogRecordAttributes)
	e.body(m)
	return e.write(m, otlpfield.LogRecordAttributes, end, w)
}

// redact appends message m to w, with what becomes of its attributes in field num, if they
// change.
func (e *editor) redact(m []byte, num uint32, w *otlpedit.Writer) (changed bool) {
	return e.write(m, num, e.attributes(m, num), w)
}

// attributes finds what becomes of attributes, and returns where the last one ends.
func (e *editor) attributes(m []byte, num uint32) (end int) {
	e.cuts, e.values, e.metas = e.cuts[:0], e.values[:0], [numMetas]meta{}
	s := attrs.Scan(e.pass, m, num)
	for s.Next() && e.err == nil {
		end = s.End
		value, changed, removed := e.attribute(&s)
		which := metaOf(s.Key)
		if came := which >= 0 && !removed && !e.metas[which].found; came { // a summary, which is added to
			e.metas[which] = meta{found: true, at: len(e.cuts)}
		} else if !changed {
			continue
		}
		e.cut(cut{start: s.Start, end: s.End, attribute: s.KeyValue, value: value, removed: removed, same: !changed})
	}
	e.summarize(attributeMetas)
	return end
}

// attribute returns the value that an attribute has afterwards.
func (e *editor) attribute(s *attrs.Scanner) (value []byte, changed, removed bool) {
	f := e.fateOf(s.Key)
	switch f {
	case ignore:
		e.note(ignoredOutcome, s.Key)
		return s.Value, false, false
	case remove:
		e.note(redactedOutcome, s.Key)
		return nil, true, true
	}
	text := e.text(s.Value, e.allTypes)
	if e.allowedValues.match(text) {
		e.note(allowedOutcome, s.Key)
		return s.Value, false, false
	}
	if f == blocked {
		e.note(maskedOutcome, s.Key)
		return e.stringValue(e.replace(whole, text)), true, false
	}
	masked, changed := e.maskBlocked(text)
	if !changed {
		return s.Value, false, false
	}
	e.note(maskedOutcome, s.Key)
	return e.stringValue(masked), true, false
}

func (e *editor) cut(c cut) {
	if len(e.cuts) == cap(e.cuts) && 2*64*cap(e.cuts) > maxKeptBytes {
		e.reserve(2 * 64 * cap(e.cuts))
	}
	e.cuts = append(e.cuts, c)
}

func (e *editor) fateOf(key []byte) fate {
	f, known := e.fates[string(key)]
	if !known {
		f = e.rules.fate(key)
		if len(e.fates) < maxFates && len(key) <= maxFateBytes {
			e.fates[string(key)] = f
		}
	}
	return f
}

// text returns the text that is compared and masked: of a string itself, of other values
// that of their type, or nothing.
func (e *editor) text(value []byte, allTypes bool) []byte {
	if !allTypes {
		if v := attrs.Resolve(e.pass, value); v.Kind() == otlp.KindString {
			return v.Text()
		}
		return nil
	}
	text, err := attrs.Text(e.pass, &e.room, value)
	e.fail(err)
	return text
}

func (e *editor) maskBlocked(text []byte) (masked []byte, changed bool) {
	masked = text
	for _, re := range e.blockedValue {
		if re.Match(masked) {
			masked = e.replace(re, masked)
		}
	}
	return masked, !bytes.Equal(masked, text)
}

// replace masks what matches.
func (e *editor) replace(re *regexp.Regexp, text []byte) []byte {
	if n := len(text); n*(1+e.maskBytes) > maxKeptBytes { // at most, if each byte matches
		matches := 1
		e.reserve(2 * n)
		re.ReplaceAllFunc(text, func([]byte) []byte { matches++; return nil })
		e.reserve(3 * (n + matches*e.maskBytes))
	}
	if e.err != nil {
		return text
	}
	return re.ReplaceAllFunc(text, e.mask)
}

func (e *editor) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *editor) reserve(n int) { e.fail(e.pass.Memory().Reserve(n)) }

// need makes room for n more bytes in values. What was written before stays where it is.
func (e *editor) need(n int) {
	if cap(e.values)-len(e.values) >= n {
		return
	}
	size := max(n, 2*cap(e.values), 512)
	if size > maxKeptBytes {
		e.reserve(size)
	}
	e.values = make([]byte, 0, size)
}

// stringValue returns an AnyValue.
func (e *editor) stringValue(text []byte) []byte {
	if e.err != nil {
		return nil
	}
	e.need(16 + len(text))
	begin := len(e.values)
	e.values = wire.AppendBytes(e.values, otlpfield.AnyValueStringValue, text)
	return e.values[begin:]
}

// intValue returns an AnyValue.
func (e *editor) intValue(n int64) []byte {
	e.need(16)
	enc := wire.Encoder{Buf: e.values}
	begin := len(enc.Buf)
	enc.Varint(otlpfield.AnyValueIntValue, uint64(n))
	e.values = enc.Buf
	return e.values[begin:]
}

// write appends the message with its cuts and the attributes of the summary, if there are
// any.
func (e *editor) write(m []byte, num uint32, end int, w *otlpedit.Writer) (changed bool) {
	if e.err != nil || !e.anyChange() {
		return false
	}
	slices.SortStableFunc(e.cuts, func(a, b cut) int { return a.start - b.start })
	copied, added := 0, false
	for i := range e.cuts {
		c := &e.cuts[i]
		if c.same {
			continue
		}
		if !added && c.start >= end {
			w.Raw(m[copied:end])
			e.addMetas(num, w)
			copied, added = end, true
		}
		w.Raw(m[copied:c.start])
		switch {
		case c.removed:
		case c.body:
			w.Bytes(otlpfield.LogRecordBody, c.value)
		default:
			w.AttributeWithValue(num, c.attribute, c.value)
		}
		copied = c.end
	}
	if !added {
		w.Raw(m[copied:end])
		e.addMetas(num, w)
		copied = end
	}
	w.Raw(m[copied:])
	return true
}

func (e *editor) addMetas(num uint32, w *otlpedit.Writer) {
	for i := range e.metas {
		if m := &e.metas[i]; m.value != nil && !m.found {
			w.Attribute(num, metaKeys[i], m.value)
		}
	}
}

func (e *editor) anyChange() bool {
	for i := range e.cuts {
		if !e.cuts[i].same {
			return true
		}
	}
	for i := range e.metas {
		if e.metas[i].value != nil {
			return true
		}
	}
	return false
}
