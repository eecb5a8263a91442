package syntax

import "strings"

// alone is what may be where a condition is expected although it is none.
type alone uint8

const (
	noValue  alone = iota
	operands       // arithmetic before ")", since the parentheses may be part of a comparison
	anyValue       // any value: the body of a lambda
)

var comparisonOps = map[string]Op{"==": Eq, "!=": Ne, "<": Lt, "<=": Le, ">": Gt, ">=": Ge}

// condition parses a condition up to the end of the text.
func (p *parser) condition() Expr {
	x, _ := p.or(noValue)
	t := p.word()
	p.end(`"and", "or" or the end`, hintOperator(t))
	return x
}

// or parses conditions between which is "or". The second result reports whether it is a
// condition; it may be true only for what can be both, such as a call.
func (p *parser) or(may alone) (Expr, bool) {
	left, isCondition := p.and(may)
	for p.tok().kind == kindOr && p.usable(left, &isCondition) {
		pos := p.tok().pos
		p.next()
		right, _ := p.and(noValue)
		left = &Binary{Pos: pos, Op: Or, X: left, Y: right}
	}
	return left, isCondition
}

// and parses conditions between which is "and".
func (p *parser) and(may alone) (Expr, bool) {
	left, isCondition := p.not(may)
	for p.tok().kind == kindAnd && p.usable(left, &isCondition) {
		pos := p.tok().pos
		p.next()
		right, _ := p.not(noValue)
		left = &Binary{Pos: pos, Op: And, X: left, Y: right}
	}
	return left, isCondition
}

// usable reports whether x can be the operand of a boolean operator.
func (p *parser) usable(x Expr, isCondition *bool) bool {
	if !*isCondition && !truth(x) {
		p.failComparison()
		return false
	}
	*isCondition = true
	return true
}

// truth reports whether a value is a condition by itself.
func truth(x Expr) bool {
	switch x.(type) {
	case *Bool, *Call:
		return true
	}
	return false
}

// isArithmetic reports whether a value can be an operand of arithmetic.
func isArithmetic(x Expr) bool {
	switch x.(type) {
	case *Path, *Call, *Int, *Float, *Unary, *Binary:
		return true
	}
	return false
}

// not parses a condition that may be negated.
func (p *parser) not(may alone) (Expr, bool) {
	t := p.tok()
	if t.kind != kindNot {
		return p.simple(may)
	}
	p.next()
	if p.tok().kind == kindNot {
		p.fail("a condition", "a second \"not\" needs parentheses")
		return nil, true
	}
	x, _ := p.simple(noValue)
	return &Unary{Pos: t.pos, Op: Not, X: x}, true
}

// simple parses a comparison, a value that is a condition, or a condition in parentheses.
func (p *parser) simple(may alone) (Expr, bool) {
	x, isCondition := p.leftOperand()
	t := p.tok()
	switch {
	case isCondition:
		return x, true
	case t.kind == kindComparison:
		p.next()
		return &Binary{Pos: t.pos, Op: comparisonOps[t.text], X: x, Y: p.value()}, true
	case may == anyValue, may == operands && p.is(")") && isArithmetic(x):
		return x, false
	case truth(x):
		return x, true
	}
	p.failComparison()
	return nil, true
}

// leftOperand parses a value, or a condition in parentheses.
func (p *parser) leftOperand() (Expr, bool) {
	if !p.is("(") {
		return p.value(), false
	}
	var x Expr
	isCondition := false
	p.next()
	p.nested(func() { x, isCondition = p.or(operands) })
	if !p.accept(")") {
		p.fail(`"and", "or" or ")"`, hintOperator(p.word()))
	}
	if isCondition {
		return x, true
	}
	return p.arithmetic(x), false
}

// failComparison records the error that a value is not compared.
func (p *parser) failComparison() {
	t := p.word()
	hint := hintOperator(t)
	switch {
	case hint != "":
	case t.kind == kindEnd || t.kind == kindAnd || t.kind == kindOr || p.is(")"):
		hint = `a value is not a condition: compare it, for example with "!= nil"`
	}
	p.fail("a comparison operator", hint)
}

// hintOperator returns a guess of which operator a token was meant to be.
func hintOperator(t token) string {
	switch {
	case t.kind == kindEqual:
		return `did you mean "=="?`
	case t.kind == kindArrow:
		return `did you mean ">="?`
	case t.kind == kindLower && strings.EqualFold(t.text, "where"):
		return `"where" is only allowed once, in a statement`
	}
	return hintKeyword(t, "and", "or")
}
