package badinput

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// The language of bodies:
//
//	expr = call ('|' call)*                 the left side is the input of the next
//	call = "text" | `text` | word | hex(0a 7f) | base64(...) | name(arg, ...)
//	arg  = expr
//
// A word is a function without arguments or, where a number is expected, one:
// 12, -1, 0x1f, max, max+1, 2*max, 50% (of the input). max is the server's limit.

// node is a parsed expression.
type node interface {
	eval(e *env) ([]byte, error)
}

// literal is bytes.
type literal []byte

func (l literal) eval(*env) ([]byte, error) { return l, nil }

// call is a function with its arguments; in is what was piped into it, or nil.
type call struct {
	name string
	in   node
	args []node
}

// eval calls the function of that name.
func (c *call) eval(e *env) ([]byte, error) {
	f, ok := functions[c.name]
	if !ok {
		return nil, fmt.Errorf("unknown function %q", c.name)
	}
	if (c.in != nil) != f.pipe || len(c.args) < f.least || f.most >= 0 && len(c.args) > f.most {
		return nil, fmt.Errorf("%s: expected %s", c.name, f.usage)
	}
	a := &arguments{env: e, args: c.args}
	if c.in != nil {
		var err error
		if a.in, err = c.in.eval(e); err != nil {
			return nil, err
		}
	}
	out, err := f.run(a)
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	return out, nil
}

// exprParser holds the rest of the text.
type exprParser struct{ rest string }

func parseExpr(text string) (node, error) {
	p := &exprParser{text}
	n, err := p.expr()
	if err != nil {
		return nil, err
	}
	if p.space(); p.rest != "" {
		return nil, fmt.Errorf("expected the end, found %q", p.rest)
	}
	return n, nil
}

func (p *exprParser) space() { p.rest = strings.TrimLeft(p.rest, " ") }

// take removes c from the front if it is there.
func (p *exprParser) take(c byte) bool {
	if p.space(); p.rest != "" && p.rest[0] == c {
		p.rest = p.rest[1:]
		return true
	}
	return false
}

func (p *exprParser) expr() (node, error) {
	n, err := p.call()
	for err == nil && p.take('|') {
		var next node
		if next, err = p.call(); err != nil {
			break
		}
		c, ok := next.(*call)
		if !ok {
			return nil, fmt.Errorf("expected a function after |")
		}
		c.in, n = n, c
	}
	return n, err
}

const wordBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-*%"

func (p *exprParser) call() (node, error) {
	p.space()
	if p.rest == "" {
		return nil, fmt.Errorf("expected an expression, found the end")
	}
	if q := p.rest[0]; q == '"' || q == '`' {
		quoted, err := strconv.QuotedPrefix(p.rest)
		if err != nil {
			return nil, fmt.Errorf("expected a quoted string at %q", p.rest)
		}
		p.rest = p.rest[len(quoted):]
		text, err := strconv.Unquote(quoted)
		return literal(text), err
	}
	word := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, wordBytes))]
	if word == "" {
		return nil, fmt.Errorf("expected an expression, found %q", p.rest)
	}
	p.rest = p.rest[len(word):]
	c := &call{name: word}
	if !strings.HasPrefix(p.rest, "(") {
		return c, nil
	}
	p.rest = p.rest[1:]
	if word == "hex" || word == "base64" {
		return p.encoded(word)
	}
	for !p.take(')') {
		if len(c.args) > 0 && !p.take(',') {
			return nil, fmt.Errorf("%s: expected , or ) at %q", word, p.rest)
		}
		arg, err := p.expr()
		if err != nil {
			return nil, err
		}
		c.args = append(c.args, arg)
	}
	return c, nil
}

// encoded reads what is between the parentheses of hex and base64.
func (p *exprParser) encoded(how string) (node, error) {
	text, rest, ok := strings.Cut(p.rest, ")")
	if !ok {
		return nil, fmt.Errorf("%s: expected )", how)
	}
	p.rest = rest
	text = strings.ReplaceAll(text, " ", "")
	decode := hex.DecodeString
	if how == "base64" {
		decode = base64.StdEncoding.DecodeString
	}
	b, err := decode(text)
	return literal(b), err
}

// arguments are a call's at evaluation. The first error sticks.
type arguments struct {
	*env
	in   []byte
	args []node
	err  error
}

// bytes evaluates argument i.
func (a *arguments) bytes(i int) []byte {
	b, err := a.args[i].eval(a.env)
	if err != nil && a.err == nil {
		a.err = err
	}
	return b
}

// word returns argument i as it is written.
func (a *arguments) word(i int) string {
	if c, ok := a.args[i].(*call); ok && c.in == nil && c.args == nil {
		return c.name
	}
	if a.err == nil {
		a.err = fmt.Errorf("argument %d: expected a word", i+1)
	}
	return ""
}

// int evaluates argument i as a number.
func (a *arguments) int(i int) int64 {
	word := a.word(i)
	n, err := a.number(word)
	if err != nil && a.err == nil {
		a.err = fmt.Errorf("argument %d: expected a number, found %q", i+1, word)
	}
	return n
}

func (a *arguments) number(word string) (int64, error) {
	if percent, ok := strings.CutSuffix(word, "%"); ok {
		n, err := strconv.ParseInt(percent, 10, 64)
		return n * int64(len(a.in)) / 100, err
	}
	if factor, rest, ok := strings.Cut(word, "*"); ok {
		n, err := strconv.ParseInt(factor, 0, 64)
		if err != nil {
			return 0, err
		}
		m, err := a.number(rest)
		return n * m, err
	}
	if rest, ok := strings.CutPrefix(word, "max"); ok {
		if rest == "" {
			return int64(a.maxBytes), nil
		}
		n, err := strconv.ParseInt(rest, 0, 64)
		return int64(a.maxBytes) + n, err
	}
	return strconv.ParseInt(word, 0, 64)
}
