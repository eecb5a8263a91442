package syntax

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// String returns the statement in its canonical form, which parses to the same tree.
func (s *Statement) String() string {
	text := Format(s.Editor)
	if s.Where != nil {
		text += " where " + Format(s.Where)
	}
	return text
}

// Format returns an expression in its canonical form, which parses to the same tree.
func Format(x Expr) string { return string(appendExpr(nil, x)) }

func appendExpr(b []byte, x Expr) []byte {
	switch x := x.(type) {
	case *Call:
		return appendCall(b, x)
	case *Path:
		return appendPath(b, x)
	case *Symbol:
		return append(b, x.Name...)
	case *String:
		return strconv.AppendQuote(b, x.Value)
	case *Int:
		return strconv.AppendInt(b, x.Value, 10)
	case *Float:
		return appendFloat(b, x.Value)
	case *Bool:
		return strconv.AppendBool(b, x.Value)
	case *Bytes:
		return hex.AppendEncode(append(b, "0x"...), x.Value)
	case *Nil:
		return append(b, "nil"...)
	case *List:
		return appendList(b, x)
	case *Map:
		return appendMap(b, x)
	case *Lambda:
		return appendLambda(b, x)
	case *Unary:
		return appendUnary(b, x)
	case *Binary:
		b = appendOperand(b, x.X, precedence(x.Op))
		b = append(append(append(b, ' '), x.Op.String()...), ' ')
		return appendOperand(b, x.Y, precedence(x.Op)+1)
	}
	return b
}

// precedence returns how strongly an operator binds.
func precedence(op Op) int {
	switch {
	case op == Or:
		return 1
	case op == And:
		return 2
	case op == Not:
		return 3
	case op.Comparison():
		return 4
	case op == Add || op == Sub:
		return 5
	}
	return 6
}

// appendOperand appends an operand, in parentheses if it binds less than least.
func appendOperand(b []byte, x Expr, least int) []byte {
	binds := least
	switch x := x.(type) {
	case *Binary:
		binds = precedence(x.Op)
	case *Unary:
		if x.Op == Not {
			binds = precedence(Not)
		}
	}
	if binds >= least {
		return appendExpr(b, x)
	}
	return append(appendExpr(append(b, '('), x), ')')
}

func appendUnary(b []byte, x *Unary) []byte {
	if x.Op == Not {
		return appendOperand(append(b, "not "...), x.X, precedence(Not)+1)
	}
	b = append(b, x.Op.String()...)
	switch x.X.(type) {
	case *Call, *Path:
		return appendExpr(b, x.X)
	}
	if number, ok := unsignedNumber(x.X); ok && x.Op == Add {
		return append(b, number...)
	}
	return append(appendExpr(append(b, '('), x.X), ')')
}

// unsignedNumber returns the text of a number that has no minus.
func unsignedNumber(x Expr) (string, bool) {
	switch x.(type) {
	case *Int, *Float:
		text := Format(x)
		return text, !strings.HasPrefix(text, "-")
	}
	return "", false
}

func appendCall(b []byte, c *Call) []byte {
	b = append(append(b, c.Name...), '(')
	for i, a := range c.Args {
		if i > 0 {
			b = append(b, ", "...)
		}
		if a.Name != "" {
			b = append(append(b, a.Name...), '=')
		}
		b = appendExpr(b, a.Value)
	}
	return appendKeys(append(b, ')'), c.Keys)
}

func appendPath(b []byte, p *Path) []byte {
	for i, s := range p.Segments {
		if i > 0 {
			b = append(b, '.')
		}
		b = appendKeys(append(b, s.Name...), s.Keys)
	}
	return b
}

func appendKeys(b []byte, keys []Key) []byte {
	for _, k := range keys {
		b = append(appendExpr(append(b, '['), k.Value), ']')
	}
	return b
}

// appendFloat appends a number with a point.
func appendFloat(b []byte, f float64) []byte {
	text := strconv.FormatFloat(f, 'g', -1, 64)
	mantissa, exponent, _ := strings.Cut(text, "e")
	b = append(b, mantissa...)
	if !strings.Contains(mantissa, ".") {
		b = append(b, ".0"...)
	}
	if exponent != "" {
		b = append(append(b, 'e'), exponent...)
	}
	return b
}

func appendList(b []byte, l *List) []byte {
	b = append(b, '[')
	for i, x := range l.Elements {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendExpr(b, x)
	}
	return append(b, ']')
}

func appendMap(b []byte, m *Map) []byte {
	b = append(b, '{')
	for i, e := range m.Entries {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(strconv.AppendQuote(b, e.Key), ": "...)
		b = appendExpr(b, e.Value)
	}
	return append(b, '}')
}

func appendLambda(b []byte, l *Lambda) []byte {
	b = append(b, '(')
	for i, p := range l.Params {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(b, p.Name...)
	}
	return appendExpr(append(b, ") => "...), l.Body)
}
