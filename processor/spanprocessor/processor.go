package spanprocessor

import (
	"bytes"
	"errors"
	"regexp"
	"slices"
	"strconv"

	"github.com/penstock-telemetry/penstock/component"
	"github.com/penstock-telemetry/penstock/config"
	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/pipeline"
	"github.com/penstock-telemetry/penstock/processor/attraction"
	"github.com/penstock-telemetry/penstock/processor/internal/attrs"
	"github.com/penstock-telemetry/penstock/processor/match"
)

// New returns a processor that edits spans.
func New(cfg Config, _ component.Settings) (*pipeline.Edits, error) {
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	return pipeline.NewEdits(plan), nil
}

// compiled is a configuration made ready.
type compiled struct {
	*Config
	match *match.Rule
	rules []rule
	keys  *attraction.Actions
}

// rule extracts attributes from names.
type rule struct {
	*regexp.Regexp
	slots []int // of the groups
}

func (c *Config) plan() (plan otlpedit.Plan, err error) {
	p, err := c.compile()
	if err != nil {
		return plan, err
	}
	return otlpedit.Plan{
		Edits: otlpedit.Items | p.match.Levels(),
		New: func() otlpedit.Editor {
			return &editor{compiled: p, tester: p.match.NewTester(), attributes: p.keys.NewEditor()}
		},
	}, nil
}

func (c *Config) compile() (*compiled, error) {
	errs := []error{c.Validate()}
	if c.Status != nil {
		errs = append(errs, config.At("status", c.Status.Validate()))
	}
	if c.Name.ToAttributes != nil {
		errs = append(errs, config.At("name.to_attributes", c.Name.ToAttributes.Validate()))
	}
	rule, err := match.Compile(otlp.Traces, c.Include, c.Exclude)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	p := &compiled{Config: c, match: rule}
	p.keys, err = attraction.Compile("", nil)
	if err != nil || c.Name.ToAttributes == nil {
		return p, err
	}
	for _, text := range c.Name.ToAttributes.Rules {
		if err := p.addRule(text); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *compiled) addRule(text string) error {
	re, err := regexp.Compile(text)
	if err != nil {
		return err
	}
	r := rule{Regexp: re}
	for _, name := range re.SubexpNames()[1:] {
		r.slots = append(r.slots, p.keys.Slot(name))
	}
	p.rules = append(p.rules, r)
	return nil
}

// maxKeptBytes is how large the memory for names may be to be kept for the next span;
// less is not reserved.
const maxKeptBytes = 64 << 10

// editor edits one span after the other.
type editor struct {
	*compiled
	tester     *match.Tester
	attributes *attraction.Editor
	pass       *otlpedit.Pass
	// names is the memory of the names that are made of one name after the other, and
	// of the fields of the new name and status.
	names   []byte
	patches []attraction.Patch
}

// Edit implements otlpedit.Editor.
func (e *editor) Edit(p *otlpedit.Pass, level otlpedit.Levels, m []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	switch level {
	case otlpedit.Resources:
		return otlpedit.Keep, e.tester.Resource(p, m)
	case otlpedit.Scopes:
		e.tester.Scope(m)
		return otlpedit.Keep, nil
	}
	if e.match != nil {
		if ok, err := e.tester.Selects(p, m); err != nil || !ok {
			return otlpedit.Keep, err
		}
	}
	e.pass, e.names, e.patches = p, e.names[:0], e.patches[:0]
	e.attributes.Begin(p, m, otlpfield.SpanAttributes)
	old := wire.LastBytes(m, otlpfield.SpanName)
	name, err := e.fromAttributes(m, old)
	if err == nil {
		name, err = e.toAttributes(name)
	}
	if err == nil && !bytes.Equal(name, old) {
		err = e.patchName(m, name)
	}
	if err == nil && e.Status != nil {
		err = e.patchStatus(m)
	}
	if err != nil {
		return otlpedit.Keep, err
	}
	slices.SortFunc(e.patches, func(a, b attraction.Patch) int { return a.Start - b.Start })
	changed, err := e.attributes.Finish(w, e.patches)
	if err != nil || !changed {
		return otlpedit.Keep, err
	}
	return otlpedit.Replace, nil
}

// End implements otlpedit.Editor.
func (e *editor) End() {
	e.pass = nil
	e.attributes.End()
	e.tester.End()
	if cap(e.names) > maxKeptBytes {
		e.names = nil
	}
	clear(e.patches[:cap(e.patches)])
}

// room makes room for n more bytes in names. What was written before stays where it is.
func (e *editor) room(n int) error {
	if cap(e.names)-len(e.names) >= n {
		return nil
	}
	size := max(n, 2*cap(e.names), 512)
	if size > maxKeptBytes {
		if err := e.pass.Memory().Reserve(size); err != nil {
			return err
		}
	}
	e.names = make([]byte, 0, size)
	return nil
}

// fromAttributes returns the name that a span is given by its attributes.
func (e *editor) fromAttributes(span, name []byte) ([]byte, error) {
	if len(e.Name.FromAttributes) == 0 {
		return name, nil
	}
	begin := len(e.names)
	for i, key := range e.Name.FromAttributes {
		value, found := attrs.Find(e.pass, span, otlpfield.SpanAttributes, key)
		if !found {
			return name, nil
		}
		made := len(e.names) - begin
		// The longest number takes 309 digits and a sign.
		need := len(e.Name.Separator) + len(value) + 320
		if cap(e.names)-len(e.names) < need {
			before := e.names[begin:]
			if err := e.room(made + need); err != nil {
				return nil, err
			}
			begin = len(e.names)
			e.names = append(e.names, before...)
		}
		if i > 0 {
			e.names = append(e.names, e.Name.Separator...)
		}
		e.names = appendValue(e.names, attrs.Resolve(e.pass, value))
	}
	return e.names[begin:], nil
}

func appendValue(b []byte, v otlp.Value) []byte {
	switch v.Kind() {
	case otlp.KindString:
		return append(b, v.Text()...)
	case otlp.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case otlp.KindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case otlp.KindDouble:
		return strconv.AppendFloat(b, v.Double(), 'f', -1, 64)
	}
	return append(b, "<unknown-attribute-type>"...) // the Collector's text
}

// toAttributes sets the attributes that the rules extract from a name, and returns the
// name that is left.
func (e *editor) toAttributes(name []byte) ([]byte, error) {
	if len(name) == 0 {
		return name, nil
	}
	for i := range e.rules {
		matched, left, err := e.extract(&e.rules[i], name)
		if err != nil {
			return nil, err
		}
		if !matched {
			continue
		}
		if !e.Name.ToAttributes.KeepOriginalName {
			name = left
		}
		if e.Name.ToAttributes.BreakAfterMatch {
			break
		}
	}
	return name, nil
}

// extract does one rule. A group inside of another one is not replaced in the name.
func (e *editor) extract(r *rule, name []byte) (matched bool, left []byte, err error) {
	at := r.FindSubmatchIndex(name)
	if at == nil {
		return false, nil, nil
	}
	need := len(name)
	for _, group := range r.SubexpNames() {
		need += len(group) + 2
	}
	if err := e.room(need); err != nil {
		return false, nil, err
	}
	begin, copied := len(e.names), 0
	for i, slot := range r.slots {
		start, end := at[2*i+2], at[2*i+3]
		if start < 0 { // an optional group
			start, end = 0, 0
		} else if start >= copied {
			e.names = append(e.names, name[copied:start]...)
			e.names = append(e.names, '{')
			e.names = append(e.names, r.SubexpNames()[i+1]...)
			e.names = append(e.names, '}')
			copied = end
		}
		if err := e.attributes.SetText(slot, name[start:end]); err != nil {
			return false, nil, err
		}
	}
	e.names = append(e.names, name[copied:]...)
	return true, e.names[begin:], nil
}

func (e *editor) patchName(span, name []byte) error {
	if err := e.room(1 + 10 + len(name)); err != nil {
		return err
	}
	begin := len(e.names)
	e.names = wire.AppendBytes(e.names, otlpfield.SpanName, name)
	e.patch(span, otlpfield.SpanName, e.names[begin:])
	return nil
}

// patchStatus sets code and message, and keeps unknown fields.
func (e *editor) patchStatus(span []byte) error {
	code, message := codes[e.Status.Code], e.Status.Description
	status := otlp.Status(wire.Merged(span, otlpfield.SpanStatus))
	if status.Code() == code && string(status.Message()) == message {
		return nil
	}
	if err := e.room(2*(len(status)+len(message)) + 64); err != nil {
		return err
	}
	enc := wire.Encoder{Buf: e.names}
	begin := len(enc.Buf)
	mark := enc.Open(otlpfield.SpanStatus)
	if message != "" {
		enc.String(otlpfield.StatusMessage, message)
	}
	if code != 0 {
		enc.Varint(otlpfield.StatusCode, uint64(code))
	}
	for c := (wire.Cursor{Buf: status}); c.Next(); {
		if c.Num != otlpfield.StatusMessage && c.Num != otlpfield.StatusCode {
			enc.Raw(status[c.Start:c.End])
		}
	}
	enc.Close(mark)
	e.names = enc.Buf
	e.patch(span, otlpfield.SpanStatus, e.names[begin:])
	return nil
}

// patch replaces all fields num of a span by one.
func (e *editor) patch(span []byte, num uint32, field []byte) {
	for c := (wire.Cursor{Buf: span}); c.Next(); {
		if c.Num == num && c.Type == wire.TypeBytes {
			e.patches = append(e.patches, attraction.Patch{Start: c.Start, End: c.End, Fields: field})
			field = nil
		}
	}
	if field != nil { // the span has none
		e.patches = append(e.patches, attraction.Patch{Start: len(span), End: len(span), Fields: field})
	}
}
