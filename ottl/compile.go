package ottl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/penstock-telemetry/penstock/internal/wire"
	"github.com/penstock-telemetry/penstock/otlp/otlpfield"
	"github.com/penstock-telemetry/penstock/otlpedit"
	"github.com/penstock-telemetry/penstock/ottl/syntax"
)

// Getter returns the value of an expression for the item in e.
type Getter func(e *Env) (Value, error)

// Error is a statement or condition that cannot be compiled.
type Error struct {
	Text string     // of it
	Pos  syntax.Pos // of what is wrong
	Err  error
}

// Error returns the message in one line.
func (e *Error) Error() string {
	text := e.Text
	if len(text) > 200 {
		text = text[:200] + "…"
	}
	return fmt.Sprintf("compile %q at column %d: %v", text, e.Pos+1, e.Err)
}

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// compiler compiles one statement or condition of a context.
type compiler struct {
	ctx       *Context
	functions map[string]*Function
	text      string
	use       use
}

// use is which levels of messages around its item a statement reads and sets.
type use struct {
	reads, sets otlpedit.Levels
	// counts: it may change how many data points or samples an item has.
	counts bool
	// adds: it may add items.
	adds bool
}

func (u *use) add(o use) {
	u.reads |= o.reads
	u.sets |= o.sets
	u.counts = u.counts || o.counts
	u.adds = u.adds || o.adds
}

// levelBits are the levels of a request by those of a context.
var levelBits = [levels]otlpedit.Levels{otlpedit.Resources, otlpedit.Scopes, otlpedit.Items, otlpedit.Items}

func (c *compiler) reads(level int) {
	if level >= 0 && level < c.ctx.level {
		c.use.reads |= levelBits[level]
	}
}

func (c *compiler) sets(level int) {
	if level >= 0 {
		c.use.sets |= levelBits[level]
	}
}

func (c *compiler) errorf(pos syntax.Pos, format string, args ...any) error {
	return &Error{c.text, pos, fmt.Errorf(format, args...)}
}

// at gives an error a place, if it has none.
func (c *compiler) at(pos syntax.Pos, err error) error {
	var placed *Error
	if err == nil || errors.As(err, &placed) {
		return err
	}
	return &Error{c.text, pos, err}
}

// expression is a compiled value.
type expression struct {
	get      Getter
	constant bool
	value    Value // if it is constant
	path     *path // if it is one
	list     []*expression
	isList   bool                     // it is a list literal
	test     func(*Env) (bool, error) // of a call: its value, if that is always a bool; may be nil
	pos      syntax.Pos
}

func constant(v Value) *expression {
	return &expression{constant: true, value: v, get: func(*Env) (Value, error) { return v, nil }}
}

// expr compiles a value.
func (c *compiler) expr(x syntax.Expr) (out *expression, err error) {
	defer func() {
		if out != nil {
			out.pos = x.Position()
		}
	}()
	switch x := x.(type) {
	case *syntax.String:
		return constant(OfString(x.Value)), nil
	case *syntax.Int:
		return constant(OfInt(x.Value)), nil
	case *syntax.Float:
		return constant(OfDouble(x.Value)), nil
	case *syntax.Bool:
		return constant(OfBool(x.Value)), nil
	case *syntax.Bytes:
		return constant(OfBytes(KindBytes, x.Value)), nil
	case *syntax.Nil:
		return constant(Value{}), nil
	case *syntax.Symbol:
		v, err := c.enum(x)
		return constant(v), err
	case *syntax.Path:
		p, err := c.path(x)
		if err != nil {
			return nil, err
		}
		return &expression{get: p.get, path: p}, nil
	case *syntax.Call:
		return c.call(x)
	case *syntax.List:
		return c.listLiteral(x)
	case *syntax.Map:
		return c.mapLiteral(x)
	case *syntax.Unary:
		return c.unary(x)
	case *syntax.Binary:
		return c.binary(x)
	case *argument:
		return &expression{get: func(e *Env) (Value, error) { return e.argument, nil }}, nil
	}
	return nil, c.errorf(x.Position(), "expected a value")
}

func (c *compiler) unary(x *syntax.Unary) (*expression, error) {
	if x.Op != syntax.Add && x.Op != syntax.Sub {
		return nil, c.errorf(x.Pos, "expected a value, found a condition")
	}
	operand, err := c.expr(x.X)
	if err != nil || x.Op == syntax.Add {
		return operand, err
	}
	get := operand.get
	return &expression{get: func(e *Env) (Value, error) {
		v, err := get(e)
		switch {
		case err != nil:
			return Value{}, err
		case v.kind == KindInt:
			return OfInt(-v.Int()), nil
		case v.kind == KindDouble:
			return OfDouble(-v.Double()), nil
		}
		return Value{}, &TypeError{"a number behind the minus", v.kind}
	}}, nil
}

func (c *compiler) binary(x *syntax.Binary) (*expression, error) {
	if x.Op < syntax.Add {
		return nil, c.errorf(x.Pos, "expected a value, found a condition")
	}
	a, err := c.expr(x.X)
	if err != nil {
		return nil, err
	}
	b, err := c.expr(x.Y)
	if err != nil {
		return nil, err
	}
	op, left, right := x.Op, a.get, b.get
	return c.fold(func(e *Env) (Value, error) {
		v, err := left(e)
		if err != nil {
			return Value{}, err
		}
		w, err := right(e)
		if err != nil {
			return Value{}, err
		}
		return arithmetic(op, v, w)
	}, a, b), nil
}

// fold evaluates what depends on constants only. An error stays one of each item.
func (c *compiler) fold(get Getter, from ...*expression) *expression {
	for _, x := range from {
		if !x.constant {
			return &expression{get: get}
		}
	}
	if v, err := get(newEnv()); err == nil {
		return constant(v)
	}
	return &expression{get: get}
}

func (c *compiler) listLiteral(x *syntax.List) (*expression, error) {
	out := &expression{isList: true}
	var gets []Getter
	for _, el := range x.Elements {
		y, err := c.expr(el)
		if err != nil {
			return nil, err
		}
		out.list = append(out.list, y)
		gets = append(gets, y.get)
	}
	folded := c.fold(func(e *Env) (Value, error) { return e.makeList(gets) }, out.list...)
	out.get, out.constant, out.value = folded.get, folded.constant, folded.value
	return out, nil
}

// makeList returns the list of what getters return.
func (e *Env) makeList(gets []Getter) (Value, error) {
	var b ListBuilder
	for _, get := range gets {
		v, err := get(e)
		if err != nil {
			return Value{}, err
		}
		b.Add(v)
	}
	return b.Value(), nil
}

// ListBuilder makes a list.
type ListBuilder struct{ enc wire.Encoder }

// Add adds an element, which is copied.
func (b *ListBuilder) Add(v Value) {
	mark := b.enc.Open(otlpfield.ArrayValueValues)
	appendValue(&b.enc, v)
	b.enc.Close(mark)
}

// Value returns the list.
func (b *ListBuilder) Value() Value { return OfFields(KindList, b.enc.Buf) }

// MapBuilder makes a map.
type MapBuilder struct{ enc wire.Encoder }

// Add adds an entry, which is copied. There must be none with this key.
func (b *MapBuilder) Add(key []byte, v Value) {
	mark := b.enc.Open(otlpfield.KeyValueListValues)
	b.enc.Bytes(otlpfield.KeyValueKey, key)
	inner := b.enc.Open(otlpfield.KeyValueValue)
	appendValue(&b.enc, v)
	b.enc.Close(inner)
	b.enc.Close(mark)
}

// Value returns the map.
func (b *MapBuilder) Value() Value { return OfFields(KindMap, b.enc.Buf) }

func (c *compiler) mapLiteral(x *syntax.Map) (*expression, error) {
	type entry struct {
		key []byte
		get Getter
	}
	var entries []entry
	var from []*expression
	for i, el := range x.Entries {
		if later := x.Entries[i+1:]; containsKey(later, el.Key) {
			continue // the last one counts
		}
		y, err := c.expr(el.Value)
		if err != nil {
			return nil, err
		}
		from = append(from, y)
		entries = append(entries, entry{[]byte(el.Key), y.get})
	}
	return c.fold(func(e *Env) (Value, error) {
		var b MapBuilder
		for _, el := range entries {
			v, err := el.get(e)
			if err != nil {
				return Value{}, err
			}
			b.Add(el.key, v)
		}
		return b.Value(), nil
	}, from...), nil
}

func containsKey(entries []syntax.Entry, key string) bool {
	for _, e := range entries {
		if e.Key == key {
			return true
		}
	}
	return false
}

// condition is a compiled condition.
type condition struct {
	eval     func(e *Env) (bool, error)
	constant bool
	value    bool // if it is constant
}

func always(b bool) *condition {
	return &condition{constant: true, value: b, eval: func(*Env) (bool, error) { return b, nil }}
}

// cond compiles a condition.
func (c *compiler) cond(x syntax.Expr) (*condition, error) {
	switch x := x.(type) {
	case *syntax.Bool:
		return always(x.Value), nil
	case *syntax.Unary:
		if x.Op == syntax.Not {
			return c.not(x)
		}
	case *syntax.Call:
		return c.boolCall(x)
	case *syntax.Binary:
		switch {
		case x.Op == syntax.And || x.Op == syntax.Or:
			return c.both(x)
		case x.Op.Comparison():
			return c.comparison(x)
		}
	}
	return nil, c.errorf(x.Position(), "expected a condition, such as a comparison, found a value")
}

func (c *compiler) not(x *syntax.Unary) (*condition, error) {
	inner, err := c.cond(x.X)
	if err != nil {
		return nil, err
	}
	if inner.constant {
		return always(!inner.value), nil
	}
	eval := inner.eval
	return &condition{eval: func(e *Env) (bool, error) {
		b, err := eval(e)
		return !b, err
	}}, nil
}

// both is "and" or "or". A constant operand that decides, decides: the other is not
// evaluated, wherever it stands.
func (c *compiler) both(x *syntax.Binary) (*condition, error) {
	a, err := c.cond(x.X)
	if err != nil {
		return nil, err
	}
	b, err := c.cond(x.Y)
	if err != nil {
		return nil, err
	}
	decides := x.Op == syntax.Or
	switch {
	case a.constant && a.value == decides || b.constant && b.value == decides:
		return always(decides), nil
	case a.constant:
		return b, nil
	case b.constant:
		return a, nil
	}
	left, right := a.eval, b.eval
	return &condition{eval: func(e *Env) (bool, error) {
		v, err := left(e)
		if err != nil || v == decides {
			return v && err == nil, err
		}
		return right(e)
	}}, nil
}

// boolCall is a call as a condition.
func (c *compiler) boolCall(x *syntax.Call) (*condition, error) {
	call, err := c.call(x)
	if err != nil {
		return nil, err
	}
	if call.constant && call.value.kind == KindBool {
		return always(call.value.Bool()), nil
	}
	if call.test != nil {
		return &condition{eval: call.test}, nil
	}
	get := call.get
	return &condition{eval: func(e *Env) (bool, error) {
		v, err := get(e)
		if err == nil {
			err = expect(v, KindBool)
		}
		return v.Bool(), err
	}}, nil
}

func (c *compiler) comparison(x *syntax.Binary) (*condition, error) {
	a, err := c.expr(x.X)
	if err != nil {
		return nil, err
	}
	b, err := c.expr(x.Y)
	if err != nil {
		return nil, err
	}
	if a.constant && b.constant {
		return always(newEnv().compare(x.Op, a.value, b.value)), nil
	}
	if fast := fastComparison(x.Op, a, b); fast != nil {
		return &condition{eval: fast}, nil
	}
	op, left, right := x.Op, a.get, b.get
	return &condition{eval: func(e *Env) (bool, error) {
		v, err := left(e)
		if err != nil {
			return false, err
		}
		w, err := right(e)
		if err != nil {
			return false, err
		}
		return e.compare(op, v, w), nil
	}}, nil
}

// fastComparison is the most frequent comparison: an attribute with a string.
func fastComparison(op syntax.Op, a, b *expression) func(*Env) (bool, error) {
	if op != syntax.Eq && op != syntax.Ne || a.path == nil || a.path.list == nil || a.path.keyed == "" || !b.constant || b.value.kind != KindString {
		return nil
	}
	list, name, want, equal := a.path.list, a.path.keyed, string(b.value.bytes), op == syntax.Eq
	return func(e *Env) (bool, error) {
		m := list(e)
		i := m.Find(name)
		if i < 0 {
			return !equal, nil
		}
		v := m.Value(i)
		return (v.kind == KindString && string(v.bytes) == want) == equal, nil
	}
}

// enum returns the number of an enum's name.
func (c *compiler) enum(x *syntax.Symbol) (Value, error) {
	if v, ok := enums[c.ctx.name][x.Name]; ok {
		return OfInt(v), nil
	}
	var have []string
	for _, e := range []string{"span", "metric", "datapoint", "log"} {
		if _, ok := enums[e][x.Name]; ok {
			have = append(have, e)
		}
	}
	if len(have) > 0 {
		return Value{}, c.errorf(x.Pos, "context %s does not have the enum %s, %s has", c.ctx.name, x.Name, strings.Join(have, " and "))
	}
	return Value{}, c.errorf(x.Pos, "unknown enum %s of context %s", x.Name, c.ctx.name)
}
