package ottl

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock-telemetry/penstock/internal/suggest"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Function is an editor or a converter. One of its three functions is set. They are called
// when a statement is compiled; what they return is called for each item, by several
// goroutines at once, and should not allocate.
type Function struct {
	Name   string
	Params []Param
	// Convert returns what computes a value.
	Convert func(a *Args) (Getter, error)
	// Test returns what computes a bool.
	Test func(a *Args) (func(*Env) (bool, error), error)
	// Edit returns what changes the item.
	Edit func(a *Args) (func(*Env) error, error)
	// In lists the contexts that have the function; empty: all.
	In []string
	// Pure: of constants the function makes always the same value, at compile time.
	Pure bool
	// Counts: the function may change how many data points a metric has.
	Counts bool
	// Adds: the function may add items.
	Adds bool
}

// Param is a parameter.
type Param struct {
	Name     string
	Optional bool
}

// P makes parameters of their names; those that end in "?" are optional.
func P(names ...string) (params []Param) {
	for _, n := range names {
		name, optional := strings.CutSuffix(n, "?")
		params = append(params, Param{name, optional})
	}
	return params
}

// Args are the arguments of one call, by the position of their parameters.
type Args struct {
	c    *compiler
	call *syntax.Call
	f    *Function
	vals []syntax.Expr // nil: not given
}

// call compiles the call of a converter.
func (c *compiler) call(x *syntax.Call) (*expression, error) {
	f, err := c.function(x.Name, x.Pos)
	if err != nil {
		return nil, err
	}
	if f.Edit != nil {
		return nil, c.errorf(x.Pos, "%s is an editor, expected a converter", x.Name)
	}
	out, err := c.convert(f, x)
	if err != nil || len(x.Keys) == 0 {
		return out, err
	}
	keys, err := c.keys(x.Keys)
	if err != nil {
		return nil, err
	}
	get := out.get
	return &expression{get: func(e *Env) (Value, error) {
		v, err := get(e)
		if err != nil {
			return Value{}, err
		}
		return e.indexResult(v, keys)
	}}, nil
}

// indexResult is index of what a converter returned, where a missing key is an error.
func (e *Env) indexResult(v Value, keys []key) (Value, error) {
	for i := range keys {
		if v.kind == KindMap {
			name, err := keys[i].name(e)
			if err != nil {
				return Value{}, err
			}
			if _, raw := e.findKey(v.bytes, name); raw == nil {
				return Value{}, fmt.Errorf("the map has no key %q", name)
			}
		}
		var err error
		if v, err = e.index(v, keys[i:i+1]); err != nil {
			return Value{}, err
		}
	}
	return v, nil
}

func (c *compiler) convert(f *Function, x *syntax.Call) (*expression, error) {
	args, err := c.arguments(f, x)
	if err != nil {
		return nil, err
	}
	out := &expression{}
	if f.Test != nil {
		test, err := f.Test(args)
		if err != nil {
			return nil, c.at(x.Pos, err)
		}
		out.test = test
		out.get = func(e *Env) (Value, error) {
			b, err := test(e)
			return OfBool(b), err
		}
	} else if out.get, err = f.Convert(args); err != nil {
		return nil, c.at(x.Pos, err)
	}
	c.use.counts = c.use.counts || f.Counts
	if f.Pure && args.allConstant() {
		if v, err := out.get(newEnv()); err == nil {
			return constant(v), nil
		}
	}
	return out, nil
}

// allConstant reports whether all arguments are literals.
func (a *Args) allConstant() bool {
	for i := range a.vals {
		if !a.Has(i) {
			continue
		}
		if x, err := a.c.expr(a.vals[i]); err != nil || !x.constant {
			return false
		}
	}
	return true
}

// function returns the function of a name in the context.
func (c *compiler) function(name string, pos syntax.Pos) (*Function, error) {
	f := c.functions[name]
	if f == nil {
		known := make([]string, 0, len(c.functions))
		for n := range c.functions {
			known = append(known, n)
		}
		slices.Sort(known)
		if guess := suggest.Nearest(name, known); guess != "" {
			return nil, c.errorf(pos, "unknown function %s, did you mean %s?", name, guess)
		}
		return nil, c.errorf(pos, "unknown function %s", name)
	}
	if len(f.In) > 0 && !slices.Contains(f.In, c.ctx.name) {
		return nil, c.errorf(pos, "context %s does not have the function %s, which is of %s", c.ctx.name, name, strings.Join(f.In, ", "))
	}
	return f, nil
}

// arguments assigns the arguments of a call to parameters.
func (c *compiler) arguments(f *Function, x *syntax.Call) (*Args, error) {
	a := &Args{c: c, call: x, f: f, vals: make([]syntax.Expr, len(f.Params))}
	if len(f.Params) == 0 {
		return a, nil // the Collector ignores arguments here
	}
	for i, arg := range x.Args {
		at := i
		if arg.Name != "" {
			at = slices.IndexFunc(f.Params, func(p Param) bool { return p.Name == arg.Name })
			if at < 0 {
				return nil, c.errorf(arg.Pos, "%s has no parameter %q, expected one of %s", f.Name, arg.Name, f.signature())
			}
		} else if i > 0 && x.Args[i-1].Name != "" {
			return nil, c.errorf(arg.Pos, "an argument without a name stands behind one with a name")
		}
		if at >= len(f.Params) {
			return nil, c.errorf(arg.Pos, "%s takes %d arguments, found %d: %s", f.Name, len(f.Params), len(x.Args), f.signature())
		}
		if a.vals[at] != nil {
			return nil, c.errorf(arg.Pos, "%s is given twice", f.Params[at].Name)
		}
		a.vals[at] = arg.Value
	}
	for i, p := range f.Params {
		if a.vals[i] == nil && !p.Optional {
			return nil, c.errorf(x.Pos, "%s needs the argument %s: %s", f.Name, p.Name, f.signature())
		}
	}
	return a, nil
}

// signature returns the function with its parameters.
func (f *Function) signature() string {
	var names []string
	for _, p := range f.Params {
		if p.Optional {
			p.Name = "[" + p.Name + "]"
		}
		names = append(names, p.Name)
	}
	return f.Name + "(" + strings.Join(names, ", ") + ")"
}

// Errorf returns an error at argument i.
func (a *Args) Errorf(i int, format string, args ...any) error {
	pos := a.call.Pos
	if i < len(a.vals) && a.vals[i] != nil {
		pos = a.vals[i].Position()
	}
	return a.c.errorf(pos, "%s of %s: "+format, append([]any{a.f.Params[i].Name, a.f.Name}, args...)...)
}

// Has reports whether argument i was given.
func (a *Args) Has(i int) bool { return a.vals[i] != nil }

// Context returns the context of the statement.
func (a *Args) Context() *Context { return a.c.ctx }

// expr compiles argument i; one that was not given is nil.
func (a *Args) expr(i int) (*expression, error) {
	if a.vals[i] == nil {
		return constant(Value{}), nil
	}
	return a.c.expr(a.vals[i])
}

// Value returns argument i, of any kind; Nil if it was not given.
func (a *Args) Value(i int) (Getter, error) {
	x, err := a.expr(i)
	if err != nil {
		return nil, err
	}
	return x.get, nil
}

// Constant returns argument i, if it is a literal, or made of literals.
func (a *Args) Constant(i int) (v Value, ok bool) {
	x, err := a.expr(i)
	if err != nil || !x.constant {
		return Value{}, false
	}
	return x.value, true
}

// Literal returns argument i, if it is written as a literal: not as an expression of
// literals, as Constant has them too.
func (a *Args) Literal(i int) (v Value, ok bool) {
	if !a.Has(i) || !isLiteral(a.vals[i]) {
		return Value{}, false
	}
	return a.Constant(i)
}

// isLiteral reports whether an expression is written as a literal.
func isLiteral(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.String, *syntax.Int, *syntax.Float, *syntax.Bool, *syntax.Bytes, *syntax.Nil, *syntax.Symbol:
		return true
	case *syntax.List:
		return !slices.ContainsFunc(x.Elements, func(el syntax.Expr) bool { return !isLiteral(el) })
	case *syntax.Map:
		return !slices.ContainsFunc(x.Entries, func(e syntax.Entry) bool { return !isLiteral(e.Value) })
	}
	return false
}

// typed returns argument i, which must be of a kind: a literal at once.
func (a *Args) typed(i int, k Kind) (Getter, error) {
	x, err := a.expr(i)
	if err != nil {
		return nil, err
	}
	if x.constant {
		err := expect(x.value, k)
		if err == nil || !a.Has(i) {
			return x.get, nil
		}
		if isLiteral(a.vals[i]) {
			return nil, a.Errorf(i, "%w", err)
		}
	}
	get := x.get
	return func(e *Env) (Value, error) {
		v, err := get(e)
		if err == nil {
			err = expect(v, k)
		}
		return v, err
	}, nil
}

// String returns argument i, which is a string.
func (a *Args) String(i int) (Getter, error) { return a.typed(i, KindString) }

// Int returns argument i, which is an integer.
func (a *Args) Int(i int) (Getter, error) { return a.typed(i, KindInt) }

// Double returns argument i, which is a double.
func (a *Args) Double(i int) (Getter, error) { return a.typed(i, KindDouble) }

// Bool returns argument i, which is a bool.
func (a *Args) Bool(i int) (Getter, error) { return a.typed(i, KindBool) }

// Time returns argument i, which is a time.
func (a *Args) Time(i int) (Getter, error) { return a.typed(i, KindTime) }

// Duration returns argument i, which is a duration.
func (a *Args) Duration(i int) (Getter, error) { return a.typed(i, KindDuration) }

// Map returns argument i, which is a map.
func (a *Args) Map(i int) (Getter, error) { return a.typed(i, KindMap) }

// List returns argument i, which is a list.
func (a *Args) List(i int) (Getter, error) { return a.typed(i, KindList) }

// literal returns argument i, which must be a literal of a kind; ok is false if it was not
// given.
func (a *Args) literal(i int, k Kind) (v Value, ok bool, err error) {
	if !a.Has(i) {
		return Value{}, false, nil
	}
	v, ok = a.Literal(i)
	switch {
	case !ok || v.kind != k:
		return Value{}, false, a.Errorf(i, "expected a literal %s", k)
	case k == KindInt && v.Int() < 0 || k == KindDouble && math.Signbit(v.Double()):
		return Value{}, false, a.Errorf(i, "expected a literal %s without a sign", k) // as in the Collector
	}
	return v, true, nil
}

// LiteralString returns argument i, which is a literal; otherwise is for one that was not
// given.
func (a *Args) LiteralString(i int, otherwise string) (string, error) {
	v, ok, err := a.literal(i, KindString)
	if !ok {
		return otherwise, err
	}
	return string(v.bytes), nil
}

// LiteralInt is LiteralString of an integer.
func (a *Args) LiteralInt(i int, otherwise int64) (int64, error) {
	v, ok, err := a.literal(i, KindInt)
	if !ok {
		return otherwise, err
	}
	return v.Int(), nil
}

// LiteralDouble is LiteralString of a double.
func (a *Args) LiteralDouble(i int, otherwise float64) (float64, error) {
	v, ok, err := a.literal(i, KindDouble)
	if !ok {
		return otherwise, err
	}
	return v.Double(), nil
}

// LiteralBool is LiteralString of a bool.
func (a *Args) LiteralBool(i int, otherwise bool) (bool, error) {
	v, ok, err := a.literal(i, KindBool)
	if !ok {
		return otherwise, err
	}
	return v.Bool(), nil
}

// Elements returns the elements of argument i, a list between brackets; ok is false for
// another expression.
func (a *Args) Elements(i int) (elements []Getter, ok bool, err error) {
	x, err := a.expr(i)
	if err != nil || !x.isList {
		return nil, false, err
	}
	for _, el := range x.list {
		elements = append(elements, el.get)
	}
	return elements, true, nil
}

// literals returns argument i, a list between brackets of literals of a kind, which an error
// calls what.
func (a *Args) literals(i int, k Kind, what string) (list []Value, err error) {
	if !a.Has(i) {
		return nil, nil
	}
	x, err := a.expr(i)
	if err != nil {
		return nil, err
	}
	for _, el := range x.list {
		if !el.constant || el.value.kind != k {
			return nil, a.Errorf(i, "expected a list of literal %s", what)
		}
		list = append(list, el.value)
	}
	if !x.isList {
		return nil, a.Errorf(i, "expected a list of literal %s", what)
	}
	return list, nil
}

// LiteralStrings returns argument i, a list of literals between brackets.
func (a *Args) LiteralStrings(i int) (list []string, err error) {
	values, err := a.literals(i, KindString, "strings")
	for _, v := range values {
		list = append(list, string(v.bytes))
	}
	return list, err
}

// LiteralDoubles returns argument i, a list of literals between brackets, such as 1.0.
func (a *Args) LiteralDoubles(i int) (list []float64, err error) {
	values, err := a.literals(i, KindDouble, "doubles, such as 1.0")
	for _, v := range values {
		list = append(list, v.Double())
	}
	return list, err
}

// Function returns the converter that argument i names, which takes one argument.
func (a *Args) Function(i int) (func(e *Env, v Value) (Value, error), error) {
	if !a.Has(i) {
		return nil, nil
	}
	s, ok := a.vals[i].(*syntax.Symbol)
	if p, isPath := a.vals[i].(*syntax.Path); isPath && len(p.Segments) == 1 && len(p.Segments[0].Keys) == 0 {
		s, ok = &syntax.Symbol{Pos: p.Pos, Name: p.Segments[0].Name}, true
	}
	if !ok {
		return nil, a.Errorf(i, "expected the name of a converter")
	}
	f, err := a.c.function(s.Name, s.Pos)
	if err != nil {
		return nil, err
	}
	if f.Edit != nil || len(f.Params) == 0 || len(f.Params) > 1 && !f.Params[1].Optional {
		return nil, a.Errorf(i, "%s does not take one argument", s.Name)
	}
	return a.c.unary1(f, s.Pos)
}

// unary1 compiles the call of a converter with the value of e.argument.
func (c *compiler) unary1(f *Function, pos syntax.Pos) (func(*Env, Value) (Value, error), error) {
	x, err := c.convert(f, &syntax.Call{Pos: pos, Name: f.Name, Args: []syntax.Arg{{Pos: pos, Value: &argument{pos}}}})
	if err != nil {
		return nil, err
	}
	get := x.get
	return func(e *Env, v Value) (Value, error) {
		e.argument = v
		return get(e)
	}, nil
}

// argument is the argument of a converter that is given by its name.
type argument struct{ pos syntax.Pos }

// Position implements syntax.Expr.
func (a *argument) Position() syntax.Pos { return a.pos }

// Target is what an editor changes: a path.
type Target struct {
	path *path
	name string
}

// Target returns argument i, which is a path that can be set.
func (a *Args) Target(i int) (*Target, error) {
	p, ok := a.vals[i].(*syntax.Path)
	if !ok {
		return nil, a.Errorf(i, "expected a path")
	}
	x, err := a.c.path(p)
	if err != nil {
		return nil, err
	}
	if x.set == nil {
		return nil, a.Errorf(i, "%w: %s", errNotSettable, pathText(p))
	}
	a.c.sets(x.level)
	a.c.use.counts = a.c.use.counts || x.counts
	return &Target{x, pathText(p)}, nil
}

// Get returns the value of the target.
func (t *Target) Get(e *Env) (Value, error) { return t.path.get(e) }

// Set sets the target. v is copied.
func (t *Target) Set(e *Env, v Value) error { return t.path.set(e, v) }

// Assign returns what sets argument i, a path, to argument j. It is the fastest way to do
// so: a constant is encoded once, and an attribute is copied as it is.
func (a *Args) Assign(i, j int) (func(e *Env) error, error) {
	t, err := a.Target(i)
	if err != nil {
		return nil, err
	}
	x, err := a.expr(j)
	if err != nil {
		return nil, err
	}
	if t.path.list != nil && t.path.keyed != "" {
		if set := assignAttribute(t.path, x); set != nil {
			return set, nil
		}
	}
	get, set := x.get, t.path.set
	return func(e *Env) error {
		v, err := get(e)
		if err != nil {
			return err
		}
		return set(e, v)
	}, nil
}

// assignAttribute returns what sets an attribute to a constant or to another attribute,
// nil for what is set in the usual way.
func assignAttribute(t *path, x *expression) func(e *Env) error {
	list, key := t.list, []byte(t.keyed)
	if x.constant && storable(x.value) == nil && newEnv().fits(x.value, attributeDepth) {
		value := (&arena{}).encode(x.value)
		return func(e *Env) error {
			list(e).putKept(key, value)
			return nil
		}
	}
	if x.path == nil || x.path.list == nil || x.path.keyed == "" {
		return nil
	}
	from, name := x.path.list, x.path.keyed
	return func(e *Env) error {
		source, target := from(e), list(e)
		var value []byte
		if i := source.Find(name); i >= 0 {
			value = source.entries[i].value
		}
		if source != target { // else they live equally long
			value = target.arena.copy(value)
		}
		target.putKept(key, value)
		return nil
	}
}

// Map returns the map that the target is, to be edited. After the edit, Put must be
// called with it. It is an error if the target is not a map.
func (t *Target) Map(e *Env) (*Map, error) {
	if t.path.isList {
		return t.path.list(e), nil
	}
	v, err := t.path.get(e)
	if err != nil {
		return nil, err
	}
	if err := expect(v, KindMap); err != nil {
		return nil, err
	}
	return e.mapOf(v), nil
}

// Put ends the edit of a map that Map returned.
func (t *Target) Put(e *Env, m *Map) error {
	if t.path.isList || !m.changed {
		return nil
	}
	return t.path.set(e, m.value(&e.scratch))
}

// now returns the present time.
func (e *Env) Now() time.Time { return time.Now() }
