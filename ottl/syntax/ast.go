// Package syntax reads the OpenTelemetry Transformation Language: it makes a tree of the
// text of a statement, a condition or a value expression. It knows the grammar and no
// names: which functions, paths and enums there are is the business of package ottl.
//
//	statement = editor "(" [ argument { "," argument } ] ")" [ "where" condition ]
//	condition = value, comparisons of values, "not", "and", "or", parentheses
//	value     = literal | list | map | enum | path | converter call | arithmetic | lambda
//	lambda    = "(" [ name { "," name } ] ")" "=>" ( value | condition )
//
// Every node has the place in the text where it begins. An Error names that place, what
// was found there and what was expected.
package syntax

// Pos is an offset in bytes in the text that was parsed.
type Pos int

// Statement is an editor call with the condition under which it is done.
type Statement struct {
	Text   string // as it was parsed
	Editor *Call
	Where  Expr // nil: always
}

// Expr is a value or a condition.
type Expr interface {
	// Position returns where the expression begins.
	Position() Pos
}

// Call is the call of a function: an editor, whose name begins in lower case, or a
// converter, whose name begins in upper case.
type Call struct {
	Pos  Pos
	Name string
	Args []Arg
	// Keys index what a converter returns: Split(name, ".")[0].
	Keys []Key
}

// Arg is an argument of a call.
type Arg struct {
	Pos   Pos
	Name  string // of name=value; else empty
	Value Expr   // a Symbol may be the name of a function
}

// Path is a place in the telemetry: span.attributes["a"][0], body, cache["x"].
type Path struct {
	Pos      Pos
	Segments []Segment // at least one
}

// Segment is one name of a path with the keys behind it.
type Segment struct {
	Pos  Pos
	Name string
	Keys []Key
}

// Key is what stands between brackets: a string, an integer, or an expression that makes
// one of these.
type Key struct {
	Pos   Pos
	Value Expr
}

// Symbol is a name in upper case without a call: an enum such as SPAN_KIND_SERVER, or as
// an argument the name of a converter.
type Symbol struct {
	Pos  Pos
	Name string
}

// The literals.
type (
	// String is a text in double quotes, its escapes replaced.
	String struct {
		Pos   Pos
		Value string
	}
	// Int is an integer.
	Int struct {
		Pos   Pos
		Value int64
	}
	// Float is a number with a point or an exponent.
	Float struct {
		Pos   Pos
		Value float64
	}
	// Bool is true or false.
	Bool struct {
		Pos   Pos
		Value bool
	}
	// Bytes is 0x and hexadecimal digits.
	Bytes struct {
		Pos   Pos
		Value []byte
	}
	// Nil is nil.
	Nil struct{ Pos Pos }
	// List is values between brackets.
	List struct {
		Pos      Pos
		Elements []Expr
	}
	// Map is keys and values between braces.
	Map struct {
		Pos     Pos
		Entries []Entry
	}
)

// Entry is one key of a Map with its value.
type Entry struct {
	Pos   Pos
	Key   string
	Value Expr
}

// Lambda is an anonymous function as an argument: (key, value) => IsMatch(key, "^http").
type Lambda struct {
	Pos    Pos
	Params []Param
	Body   Expr // a value or a condition, not a Lambda
}

// Param is a parameter of a Lambda. The body reads it as a path of one segment; it hides
// paths and parameters of outer lambdas that begin with its name.
type Param struct {
	Pos  Pos
	Name string // "_": the argument is not used
}

// Unary is "not" before a condition, or a sign before a value. The minus of a literal is
// part of the literal. A plus does not change its operand. It also stands for parentheses
// around a value without an operator: in parentheses, a literal is not a constant and a path
// is not a place to assign to.
type Unary struct {
	Pos Pos
	Op  Op
	X   Expr
}

// Binary is two operands with an operator between them.
type Binary struct {
	Pos Pos // of the operator
	Op  Op
	X   Expr
	Y   Expr
}

// Op is an operator.
type Op uint8

// The operators.
const (
	Or Op = 1 + iota
	And
	Not
	Eq
	Ne
	Lt
	Le
	Gt
	Ge
	Add
	Sub
	Mul
	Div
)

var ops = [...]string{Or: "or", And: "and", Not: "not", Eq: "==", Ne: "!=", Lt: "<", Le: "<=", Gt: ">", Ge: ">=", Add: "+", Sub: "-", Mul: "*", Div: "/"}

// String returns the operator as it is written.
func (o Op) String() string { return ops[o] }

// Comparison reports whether the operator compares two values.
func (o Op) Comparison() bool { return o >= Eq && o <= Ge }

// Position implements Expr, as the methods below.
func (c *Call) Position() Pos   { return c.Pos }
func (p *Path) Position() Pos   { return p.Pos }
func (s *Symbol) Position() Pos { return s.Pos }
func (s *String) Position() Pos { return s.Pos }
func (i *Int) Position() Pos    { return i.Pos }
func (f *Float) Position() Pos  { return f.Pos }
func (b *Bool) Position() Pos   { return b.Pos }
func (b *Bytes) Position() Pos  { return b.Pos }
func (n *Nil) Position() Pos    { return n.Pos }
func (l *List) Position() Pos   { return l.Pos }
func (m *Map) Position() Pos    { return m.Pos }
func (l *Lambda) Position() Pos { return l.Pos }
func (u *Unary) Position() Pos  { return u.Pos }

// Position returns where the left operand begins.
func (b *Binary) Position() Pos { return b.X.Position() }
