package syntax

import (
	"errors"
	"strconv"
)

var arithmeticOps = map[string]Op{"+": Add, "-": Sub, "*": Mul, "/": Div}

// arithmeticNext reports whether an operand of arithmetic is next: a number, a path, a
// call, a sign or a parenthesis.
func (p *parser) arithmeticNext() bool {
	switch p.tok().kind {
	case kindInt, kindFloat, kindLower, kindAddSub:
		return true
	case kindUpper:
		_, n := p.name()
		return p.peek(n, "(")
	}
	return p.is("(")
}

// arithmetic parses operands and the operators between them. The first operand is nil, or
// one that was parsed already.
func (p *parser) arithmetic(first Expr) Expr {
	left := p.product(first)
	for p.tok().kind == kindAddSub {
		t := p.tok()
		p.next()
		left = &Binary{Pos: t.pos, Op: arithmeticOps[t.text], X: left, Y: p.product(nil)}
	}
	return left
}

// product parses operands between which are "*" and "/".
func (p *parser) product(first Expr) Expr {
	left := first
	if left == nil {
		left = p.factor()
	}
	for p.tok().kind == kindMulDiv {
		t := p.tok()
		p.next()
		left = &Binary{Pos: t.pos, Op: arithmeticOps[t.text], X: left, Y: p.factor()}
	}
	return left
}

// factor parses an operand with its sign.
func (p *parser) factor() Expr {
	t := p.tok()
	if t.kind != kindAddSub {
		return p.unsigned()
	}
	p.next()
	op := arithmeticOps[t.text]
	if k := p.tok().kind; op == Sub && (k == kindInt || k == kindFloat) {
		return p.negative(t.pos)
	}
	return &Unary{Pos: t.pos, Op: op, X: p.unsigned()}
}

// negative parses a number behind its minus, which is at pos.
func (p *parser) negative(pos Pos) Expr {
	switch n := p.number().(type) {
	case *Int:
		return &Int{Pos: pos, Value: -n.Value}
	case *Float:
		return &Float{Pos: pos, Value: -n.Value}
	}
	return nil
}

// unsigned parses an operand without a sign.
func (p *parser) unsigned() Expr {
	switch t := p.tok(); {
	case t.kind == kindInt || t.kind == kindFloat:
		return p.number()
	case p.is("("):
		var x Expr
		p.next()
		p.nested(func() { x = p.arithmetic(nil) })
		p.expectClosing(")", `an arithmetic operator or ")"`)
		return x
	case t.kind == kindLower:
		name, n := p.name()
		if p.peek(n, "(") {
			p.refuse(Error{Pos: t.pos, size: len(name), Found: "the editor " + strconv.Quote(name), Expected: "a value", Hint: "names of converters begin in upper case"})
			return nil
		}
		return p.path()
	case t.kind == kindUpper:
		if name, n := p.name(); p.peek(n, "(") {
			c := p.call(name, n)
			c.Keys = p.keys()
			return c
		}
	}
	p.fail("a number, a path, a call or a parenthesis", "")
	return nil
}

// number parses a number without a sign. Integers that begin with 0 are octal.
func (p *parser) number() Expr {
	t := p.tok()
	var x Expr
	var err error
	if t.kind == kindInt {
		var n int64
		n, err = strconv.ParseInt(t.text, 0, 64)
		x = &Int{Pos: t.pos, Value: n}
	} else {
		var n float64
		n, err = strconv.ParseFloat(t.text, 64)
		x = &Float{Pos: t.pos, Value: n}
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		p.fail("a number of 64 bits", "")
		return nil
	case err != nil:
		p.fail("a decimal number, or an octal number if it begins with 0", "")
		return nil
	}
	p.next()
	return x
}

// path parses names with dots between them and keys behind them.
func (p *parser) path() Expr {
	path := &Path{Pos: p.tok().pos}
	for {
		t := p.tok()
		if t.kind != kindLower {
			p.fail("a name in lower case", hintSegment(p.word()))
			return nil
		}
		p.next()
		path.Segments = append(path.Segments, Segment{Pos: t.pos, Name: t.text, Keys: p.keys()})
		if !p.accept(".") {
			return path
		}
	}
}

// hintSegment returns the advice for a token that is not the segment of a path.
func hintSegment(t token) string {
	switch t.kind {
	case kindUpper, kindNil, kindNot, kindOr, kindAnd, kindBool:
		return "the name of an attribute is a key: attributes[" + strconv.Quote(t.text) + "]"
	}
	return ""
}
