package ottl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Parser compiles statements and conditions of one context. It is safe for concurrent use.
type Parser struct {
	ctx       *Context
	functions map[string]*Function
}

// NewParser returns a parser of a context with functions, of which those that come later
// replace earlier ones of the same name.
func NewParser(ctx *Context, functions ...[]Function) *Parser {
	p := &Parser{ctx, map[string]*Function{}}
	for _, list := range functions {
		for i := range list {
			p.functions[list[i].Name] = &list[i]
		}
	}
	return p
}

// Statement is an editor with its condition. It is safe for concurrent use, as is
// Condition.
type Statement struct {
	text  string
	where *condition // nil: always
	run   func(*Env) error
	use   use
}

// String returns the statement as it was written.
func (s *Statement) String() string { return s.text }

// Condition is a condition.
type Condition struct {
	text string
	condition
	use use
}

// String returns the condition as it was written.
func (c *Condition) String() string { return c.text }

// Statement compiles a statement.
func (p *Parser) Statement(text string) (*Statement, error) {
	tree, err := syntax.ParseStatement(text)
	if err != nil {
		return nil, err
	}
	c := &compiler{ctx: p.ctx, functions: p.functions, text: text}
	s := &Statement{text: text}
	if s.run, err = c.edit(tree.Editor); err != nil {
		return nil, err
	}
	if tree.Where != nil {
		where, err := c.cond(tree.Where)
		if err != nil {
			return nil, err
		}
		if !where.constant || !where.value {
			s.where = where
		}
	}
	s.use = c.use
	return s, nil
}

// edit compiles the call of an editor.
func (c *compiler) edit(x *syntax.Call) (func(*Env) error, error) {
	f, err := c.function(x.Name, x.Pos)
	if err != nil {
		return nil, err
	}
	if f.Edit == nil {
		return nil, c.errorf(x.Pos, "%s is a converter, expected an editor", x.Name)
	}
	args, err := c.arguments(f, x)
	if err != nil {
		return nil, err
	}
	c.use.counts = c.use.counts || f.Counts
	c.use.adds = c.use.adds || f.Adds
	run, err := f.Edit(args)
	return run, c.at(x.Pos, err)
}

// Condition compiles a condition.
func (p *Parser) Condition(text string) (*Condition, error) {
	tree, err := syntax.ParseCondition(text)
	if err != nil {
		return nil, err
	}
	c := &compiler{ctx: p.ctx, functions: p.functions, text: text}
	cond, err := c.cond(tree)
	if err != nil {
		return nil, err
	}
	return &Condition{text, *cond, c.use}, nil
}

// ErrorMode is what is done about the error of a statement or condition for an item. The
// empty one is that of what is around it, and Ignore in the end.
type ErrorMode string

// The error modes.
const (
	Ignore    ErrorMode = "ignore"    // report it, and go on
	Silent    ErrorMode = "silent"    // go on
	Propagate ErrorMode = "propagate" // refuse the request
)

// UnmarshalText reads an error mode from a configuration.
func (m *ErrorMode) UnmarshalText(b []byte) error {
	*m = ErrorMode(strings.ToLower(string(b)))
	return m.Validate()
}

// Validate returns an error for an unknown mode.
func (m ErrorMode) Validate() error {
	switch m {
	case "", Ignore, Silent, Propagate:
		return nil
	}
	return fmt.Errorf("unknown error mode %q, expected ignore, silent or propagate", string(m))
}

// Step is what is done to the items of one context: statements, or the conditions under
// which an item is dropped.
type Step struct {
	Context *Context
	// Conditions, of which one must hold if there are any: for the statements to be done,
	// or, with Drop, for the item to be dropped.
	Conditions []*Condition
	Statements []*Statement
	Drop       bool
	Mode       ErrorMode
	// Report is called with errors that are ignored.
	Report func(error)
	// Client returns the sender, for the paths below otelcol; nil: it is not known.
	Client ClientFunc
}

// use returns what the step reads and sets.
func (s *Step) use() (u use) {
	for _, c := range s.Conditions {
		u.add(c.use)
	}
	for _, st := range s.Statements {
		u.add(st.use)
	}
	return u
}

// Plans returns edit plans that do the steps to requests of signal s, to be applied one
// after the other: as few as give the same result as a pass over the request for each step.
func Plans(s otlp.Signal, steps ...Step) (plans []otlpedit.Plan) {
	var group []Step
	for _, step := range steps {
		if step.Context.signal != 0 && step.Context.signal != s {
			continue
		}
		if len(group) > 0 && !together(group, step) {
			plans = append(plans, planOf(group))
			group = nil
		}
		group = append(group, step)
	}
	if len(group) > 0 {
		plans = append(plans, planOf(group))
	}
	return plans
}

// together reports whether one pass does the same with step as the passes of group and
// one of step.
func together(group []Step, step Step) bool {
	for _, g := range group {
		if !otlpedit.Fusable(planOf([]Step{g}), planOf([]Step{step})) {
			return false
		}
	}
	return true
}

// planOf returns the plan of steps.
func planOf(steps []Step) otlpedit.Plan {
	plan := otlpedit.Plan{New: func() otlpedit.Editor { return newEditor(steps) }}
	for _, s := range steps {
		level, u := levelBits[s.Context.level], s.use()
		plan.Edits |= level
		plan.Reads |= u.reads
		plan.Sets |= u.sets &^ (level | otlpedit.Items)
		plan.Adds = plan.Adds || u.adds
		if s.Drop || u.counts || u.adds {
			plan.Drops |= level
		}
	}
	return plan
}

// editor does steps to the messages of requests.
type editor struct {
	steps []Step
	env   *Env
	begun bool
	late  [2]arena // of resource and scope that were set from below
	out   wire.Encoder
}

func newEditor(steps []Step) *editor { return &editor{steps: steps, env: newEnv()} }

// End implements otlpedit.Editor.
func (d *editor) End() {
	if d.begun {
		d.env.end()
		d.begun = false
		clear(d.env.edited[:cap(d.env.edited)])
		d.late[0].forget()
		d.late[1].forget()
	}
}

// Edit implements otlpedit.Editor.
func (d *editor) Edit(p *otlpedit.Pass, l otlpedit.Levels, raw []byte, w *otlpedit.Writer) (otlpedit.Verdict, error) {
	e := d.env
	if !d.begun {
		e.begin(p)
		d.begun = true
	}
	level := int(l >> 1)
	m := &e.messages[level]
	m.begin(raw)
	if level < levelItem {
		e.loaded[level] = p.Number(l)
	}
	first := 0
	if mark, ok := p.Added(); ok && level == levelItem {
		first = mark
	}
	for i := first; i < len(d.steps); i++ {
		e.step = i
		drop, err := d.step(&d.steps[i], level)
		if err != nil || drop {
			return otlpedit.Drop, err
		}
	}
	if !m.dirty() {
		return otlpedit.Keep, nil
	}
	room := w.Room(m.size())
	if room == nil {
		return otlpedit.Keep, nil // the pass has the error
	}
	d.out.Buf = room
	m.append(&d.out)
	w.SetRoom(d.out.Buf)
	d.out.Buf = nil
	return otlpedit.Replace, nil
}

// step does a step to the message at a level, if it is about it or about its parts.
func (d *editor) step(s *Step, level int) (drop bool, err error) {
	switch {
	case s.Context.level == level:
		return d.do(s)
	case s.Context.level == levelPart && level == levelItem:
		return d.parts(s)
	}
	return false, nil
}

// do does a step to the message that it is about.
func (d *editor) do(s *Step) (drop bool, err error) {
	e := d.env
	e.level, e.client = s.Context.level, s.Client
	e.scratch.reset()
	e.inUse = 0
	e.cache.reset()
	e.cached.reset()
	applies, err := d.applies(s)
	if err != nil || !applies || s.Drop {
		return applies && s.Drop, err
	}
	for _, st := range s.Statements {
		if err := d.statement(st); err != nil {
			if s.Mode == Propagate || e.err() != nil || tooLarge(err) {
				return false, fmt.Errorf("%s: %w", st.text, err)
			}
			s.report(st.text, err)
		}
	}
	return false, e.err()
}

// tooLarge reports whether the statement made the request too large. It would do so again.
func tooLarge(err error) bool {
	var growth *otlpedit.GrowthError
	return errors.As(err, &growth)
}

// applies reports whether one of the step's conditions holds, or there are none.
func (d *editor) applies(s *Step) (bool, error) {
	for _, c := range s.Conditions {
		ok, err := c.eval(d.env)
		if err != nil {
			if err := s.fatal(d.env, c.text, err); err != nil {
				return false, err
			}
			s.report(c.text, err)
			continue
		}
		if ok {
			return true, d.env.err()
		}
	}
	return len(s.Conditions) == 0 && !s.Drop, nil
}

// itemError is the error of a statement or condition for an item. Its text is made only if
// it is wanted, since there may be one for every item.
type itemError struct {
	text string
	err  error
}

func (e *itemError) Error() string { return e.text + ": " + e.err.Error() }

// Unwrap returns what went wrong.
func (e *itemError) Unwrap() error { return e.err }

// fatal returns the error that refuses the request, nil if an error is passed over.
func (s *Step) fatal(e *Env, text string, err error) error {
	var growth *otlpedit.GrowthError
	switch {
	case e.err() != nil:
		return fmt.Errorf("%s: %w", text, e.err())
	case errors.As(err, &growth):
		return fmt.Errorf("%s: %w", text, err)
	case s.Mode == Propagate:
		return &otlpedit.RefusalError{Err: fmt.Errorf("%s: %w", text, err)}
	}
	return nil
}

func (s *Step) report(text string, err error) {
	if s.Mode != Silent && s.Report != nil {
		s.Report(&itemError{text, err})
	}
}

// statement does a statement if its condition holds.
func (d *editor) statement(st *Statement) error {
	if st.where != nil {
		ok, err := st.where.eval(d.env)
		if err != nil || !ok {
			return err
		}
	}
	err := st.run(d.env)
	if err == nil {
		err = d.env.failed
	}
	d.env.failed = nil
	if outer := st.use.sets &^ otlpedit.Items; outer != 0 {
		d.setOuter(outer)
	}
	return err
}

// setOuter hands what a statement set above its item to the pass.
func (d *editor) setOuter(sets otlpedit.Levels) {
	for level := levelResource; level <= levelScope; level++ {
		m := &d.env.messages[level]
		if sets&levelBits[level] == 0 || d.env.loaded[level] == 0 || !m.dirty() || d.env.level <= level {
			continue
		}
		a := &d.late[level]
		a.mem = m.arena.mem
		a.reset()
		if now := m.encode(a); now != nil {
			d.env.pass.SetOwn(levelBits[level], now)
		}
	}
}

// parts does a step to the parts of the item: span events, data points, samples.
func (d *editor) parts(s *Step) (drop bool, err error) {
	item := &d.env.messages[levelItem]
	item.settle()
	switch item.shape {
	case &spanShape:
		return false, d.partsOf(s, item.raw, otlpfield.SpanEvents, nil)
	case &profileShape:
		return false, d.partsOf(s, item.raw, otlpfield.ProfileSamples, nil)
	}
	which := item.data()
	if which < 0 {
		return s.Drop, nil // a metric without data points
	}
	d.env.messages[levelPart].shape = &pointShapes[pointOf[which]]
	num := metricData[which]
	kept := 0
	data := item.slots[num].bytes
	if err := d.partsOf(s, data, otlpfield.GaugeDataPoints, &kept); err != nil {
		return false, err
	}
	if len(item.parts) > 0 && item.changed>>num&1 == 0 { // else a statement has set the data
		item.setBytes(num, item.withParts(&item.arena, data))
	}
	item.parts = item.parts[:0]
	return s.Drop && kept == 0, nil
}

// pointOf are the variants of the data points of metricData.
var pointOf = [...]int{numberPoint, numberPoint, histogramPoint, exponentialPoint, summaryPoint}

// partsOf does a step to the fields num of around, and notes changed ones in the parts of
// the item. kept, if not nil, counts those that were not dropped.
func (d *editor) partsOf(s *Step, around []byte, num uint32, kept *int) error {
	e := d.env
	item, m := &e.messages[levelItem], &e.messages[levelPart]
	e.edited = e.edited[:0]
	e.partNum = -1
	for c := (wire.Cursor{Buf: around}); c.Next(); {
		if c.Num != num || c.Type != wire.TypeBytes {
			continue
		}
		e.partNum++
		e.partAt = part{num: num, start: c.Start, end: c.End}
		m.begin(c.Bytes)
		drop, err := d.do(s)
		switch {
		case err != nil:
			return err
		case drop:
			e.edited = append(e.edited, part{num: num, start: c.Start, end: c.End})
			continue
		case m.dirty():
			now := m.encode(&item.arena)
			if now == nil {
				return item.arena.err
			}
			e.edited = append(e.edited, part{num: num, start: c.Start, end: c.End, now: now})
		}
		if kept != nil {
			*kept++
		}
	}
	if len(item.parts) == 0 { // else a statement has set the whole field
		item.parts = append(item.parts, e.edited...)
	}
	return nil
}

// withParts returns around with the parts of the item in it replaced, made in arena a.
func (m *message) withParts(a *arena, around []byte) []byte {
	n := len(around)
	for i := range m.parts {
		n += len(m.parts[i].now) + 24
	}
	enc, mark := a.room(n)
	if enc == nil {
		return nil
	}
	copied := 0
	for i := range m.parts {
		p := &m.parts[i]
		enc.Raw(around[copied:p.start])
		p.append(enc)
		copied = p.end
	}
	enc.Raw(around[copied:])
	return a.since(mark)
}

// settle makes the edited message the one as it came, so that its parts can be edited. It
// does nothing if its parts were not changed.
func (m *message) settle() {
	if m.changed == 0 && len(m.parts) == 0 {
		return
	}
	raw := m.encode(&m.arena)
	if raw == nil {
		return
	}
	m.replace(raw)
}
