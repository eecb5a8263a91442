package syntax

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The bounds of a text.
const (
	MaxSize  = 64 << 10 // bytes of one statement, condition or value
	MaxDepth = 200      // parentheses, calls, keys, lists and maps in each other
)

// ParseStatement parses the call of an editor with the condition of the statement, if
// there is one: set(body, "x") where severity_number > 4. An error is an *Error.
func ParseStatement(text string) (*Statement, error) {
	return parse("statement", text, func(p *parser) *Statement {
		s := &Statement{Text: text, Editor: p.editor()}
		if t := p.tok(); t.kind == kindLower && t.text == "where" {
			p.next()
			s.Where = p.condition()
			return s
		}
		p.end(`"where" or the end`, hintKeyword(p.word(), "where"))
		return s
	})
}

// ParseCondition parses a condition: name == "x" and not IsMatch(body, "^y"). An error is
// an *Error.
func ParseCondition(text string) (Expr, error) {
	return parse("condition", text, (*parser).condition)
}

// ParseValue parses a value: attributes["x"], 5 * Len(body), [1, 2]. An error is an *Error.
func ParseValue(text string) (Expr, error) {
	return parse("value", text, func(p *parser) Expr {
		x := p.value()
		p.end("an arithmetic operator or the end", "")
		return x
	})
}

// parse parses a text with one rule of the grammar.
func parse[T any](what, text string, rule func(*parser) T) (T, error) {
	var none T
	if len(text) > MaxSize {
		found := strconv.Itoa(len(text)) + " bytes"
		return none, &Error{What: what, Text: text, Found: found, Expected: "at most " + strconv.Itoa(MaxSize)}
	}
	tokens, failed := scan(text)
	var result T
	if failed == nil {
		p := &parser{tokens: tokens}
		result = rule(p)
		failed = p.failed
	}
	if failed != nil {
		failed.What, failed.Text = what, text
		return none, failed
	}
	return result, nil
}

// parser is a recursive descent parser. After an error it sees the end of the text only,
// at which each rule returns; what the rules return then is not used.
type parser struct {
	tokens []token // the last is of kindEnd
	i      int
	depth  int
	failed *Error // the first error
}

func (p *parser) tok() token { return p.tokens[p.i] }

// next skips a token.
func (p *parser) next() {
	if p.i < len(p.tokens)-1 {
		p.i++
	}
}

// is reports whether the next token is an operator or a punctuation mark.
func (p *parser) is(text string) bool {
	t := p.tok()
	return t.kind != kindString && t.kind != kindEnd && t.text == text
}

// accept skips a punctuation mark if it is next.
func (p *parser) accept(text string) bool {
	if !p.is(text) {
		return false
	}
	p.next()
	return true
}

// fail records the error that the next token is another one than expected.
func (p *parser) fail(expected, hint string) {
	t := p.word()
	p.refuse(Error{Pos: t.pos, size: t.size, Found: describe(t), Expected: expected, Hint: hint})
}

// word returns the next token; of a name in mixed case it returns all of it.
func (p *parser) word() token {
	t := p.tok()
	for i := p.i + 1; (t.kind == kindUpper || t.kind == kindLower) && i < len(p.tokens); i++ {
		next := p.tokens[i]
		if next.pos != t.pos+Pos(t.size) || next.kind != kindUpper && next.kind != kindLower {
			break
		}
		t.text += next.text
		t.size += next.size
	}
	return t
}

// refuse records an error and skips the rest of the text.
func (p *parser) refuse(e Error) {
	if p.failed == nil {
		p.failed = &e
	}
	p.i = len(p.tokens) - 1
}

// expect skips a punctuation mark, which must be next.
func (p *parser) expect(text, expected string) {
	if !p.accept(text) {
		p.fail(expected, "")
	}
}

// end checks that nothing is left.
func (p *parser) end(expected, hint string) {
	if p.tok().kind != kindEnd {
		p.fail(expected, hint)
	}
}

// nested calls a rule one level deeper.
func (p *parser) nested(rule func()) {
	if p.depth == MaxDepth {
		t := p.tok()
		p.refuse(Error{Pos: t.pos, size: t.size, Found: fmt.Sprintf("more than %d levels of nesting", MaxDepth), Expected: "at most that many"})
		return
	}
	p.depth++
	rule()
	p.depth--
}

// name returns the function name that is next, whose parts are tokens of upper and lower
// case, and how many tokens it has. It skips nothing.
func (p *parser) name() (string, int) {
	n := 0
	for k := p.tokens[p.i].kind; k == kindUpper || k == kindLower; k = p.tokens[p.i+n].kind {
		n++
	}
	if n == 1 {
		return p.tok().text, n
	}
	var name strings.Builder
	for _, t := range p.tokens[p.i : p.i+n] {
		name.WriteString(t.text)
	}
	return name.String(), n
}

// peek reports whether the token after n others is a punctuation mark.
func (p *parser) peek(n int, text string) bool {
	t := p.tokens[min(p.i+n, len(p.tokens)-1)]
	return t.kind != kindString && t.kind != kindEnd && t.text == text
}

// editor parses the call of an editor.
func (p *parser) editor() *Call {
	t := p.tok()
	name, n := p.name()
	switch {
	case n > 0 && !p.peek(n, "("):
		p.i += n
		p.fail(`"(" after the name of the editor`, "")
		return nil
	case t.kind == kindLower:
	case n > 0:
		p.refuse(Error{Pos: t.pos, size: len(name), Found: strconv.Quote(name), Expected: "the name of an editor, which begins in lower case"})
		return nil
	default:
		p.fail("the name of an editor", "")
		return nil
	}
	call := p.call(name, n)
	if p.is("[") {
		p.fail(`"where" or the end`, "what an editor returns has no keys")
	}
	return call
}

// call parses the call of a function, whose name has n tokens.
func (p *parser) call(name string, n int) *Call {
	c := &Call{Pos: p.tok().pos, Name: name}
	p.i += n
	p.next() // the parenthesis
	p.nested(func() {
		if p.accept(")") {
			return
		}
		for {
			c.Args = append(c.Args, p.arg())
			if !p.accept(",") {
				break
			}
		}
		p.expectClosing(")", `"," or ")"`)
	})
	return c
}

// expectClosing skips the end of a list of values, with guesses if it is not next.
func (p *parser) expectClosing(text, expected string) {
	if p.accept(text) {
		return
	}
	hint := ""
	switch t := p.tok(); {
	case t.kind == kindComparison || t.kind == kindAnd || t.kind == kindOr:
		hint = "a condition is not a value"
	case t.kind == kindAddSub || t.kind == kindMulDiv:
		hint = "arithmetic has numbers, paths, calls and parentheses as operands"
	}
	p.fail(expected, hint)
}

// arg parses an argument of a call.
func (p *parser) arg() Arg {
	a := Arg{Pos: p.tok().pos}
	name, n := p.name()
	if n > 0 && p.tok().kind == kindLower && p.peek(n, "=") {
		a.Name = name
		p.i += n
		p.next()
		name, n = p.name()
	}
	// A name in mixed case that is not called is the name of a function.
	if t := p.tok(); t.kind == kindUpper && n > 1 && p.tokens[p.i+1].kind == kindLower && !p.peek(n, "(") {
		a.Value = &Symbol{Pos: t.pos, Name: name}
		p.i += n
		return a
	}
	a.Value = p.element()
	return a
}

// keys parses the keys of a path or a call.
func (p *parser) keys() []Key {
	var keys []Key
	for p.is("[") {
		k := Key{Pos: p.tok().pos}
		p.next()
		p.nested(func() { k.Value = p.key() })
		p.expect("]", `"]"`)
		keys = append(keys, k)
	}
	return keys
}

// key parses what is between the brackets of a key.
func (p *parser) key() Expr {
	switch t := p.tok(); t.kind {
	case kindString:
		p.next()
		return &String{Pos: t.pos, Value: t.text}
	case kindInt: // in the Collector's grammar nothing is added to it
		return p.number()
	}
	if !p.arithmeticNext() {
		p.fail("a string, an integer, a path or a call as key", "")
		return nil
	}
	return p.arithmetic(nil)
}

// element parses a value or a lambda.
func (p *parser) element() Expr {
	if p.lambdaNext() {
		return p.lambda()
	}
	return p.value()
}

// value parses a value.
func (p *parser) value() Expr {
	t := p.tok()
	switch {
	case p.arithmeticNext():
		parenthesis := p.is("(")
		x := p.arithmetic(nil)
		if parenthesis && operand(x) {
			return &Unary{Pos: t.pos, Op: Add, X: x}
		}
		return x
	case p.is("["):
		return p.list()
	case p.is("{"):
		return p.mapping()
	}
	switch t.kind {
	case kindNil:
		p.next()
		return &Nil{Pos: t.pos}
	case kindString:
		p.next()
		return &String{Pos: t.pos, Value: t.text}
	case kindBool:
		p.next()
		return &Bool{Pos: t.pos, Value: t.text == "true"}
	case kindBytes:
		return p.bytes()
	case kindUpper:
		return p.symbol()
	}
	hint := ""
	if t.kind == kindNot {
		hint = "a condition is not a value"
	}
	p.fail("a value", hint)
	return nil
}

// operand reports whether x is an operand without an operator.
func operand(x Expr) bool {
	switch x.(type) {
	case *Unary, *Binary, nil:
		return false
	}
	return true
}

// bytes parses a literal of bytes.
func (p *parser) bytes() Expr {
	t := p.tok()
	value, err := hex.DecodeString(t.text[2:])
	if err != nil {
		p.fail("an even number of hexadecimal digits", "")
		return nil
	}
	p.next()
	return &Bytes{Pos: t.pos, Value: value}
}

// symbol parses the name of an enum.
func (p *parser) symbol() Expr {
	t := p.tok()
	if name, n := p.name(); n > 1 && p.tokens[p.i+1].kind == kindLower {
		hint := hintKeyword(p.word(), "true", "false", "nil", "not")
		p.i += n
		p.fail(`"(" after `+strconv.Quote(name), hint)
		return nil
	}
	p.next()
	return &Symbol{Pos: t.pos, Name: t.text}
}

// list parses values between brackets.
func (p *parser) list() Expr {
	l := &List{Pos: p.tok().pos}
	p.next()
	p.nested(func() {
		if p.accept("]") {
			return
		}
		for {
			l.Elements = append(l.Elements, p.element())
			if !p.accept(",") {
				break
			}
		}
		p.expectClosing("]", `"," or "]"`)
	})
	return l
}

// mapping parses keys and values between braces. The commas are optional, and there may be
// one at the end.
func (p *parser) mapping() Expr {
	m := &Map{Pos: p.tok().pos}
	p.next()
	p.nested(func() {
		for p.tok().kind == kindString {
			t := p.tok()
			p.next()
			p.expect(":", `":" after the key of a map`)
			m.Entries = append(m.Entries, Entry{Pos: t.pos, Key: t.text, Value: p.element()})
			p.accept(",")
		}
		p.expectClosing("}", `"}" or a key in double quotes`)
	})
	return m
}

// lambdaNext reports whether a lambda is next: parameters in parentheses and an arrow.
func (p *parser) lambdaNext() bool {
	if !p.is("(") {
		return false
	}
	at := 1
	for !p.peek(at, ")") {
		if k := p.tokens[min(p.i+at, len(p.tokens)-1)].kind; k != kindLower && k != kindUnderscore {
			return false
		}
		at++
		if p.peek(at, ",") && !p.peek(at+1, ")") {
			at++
		} else if !p.peek(at, ")") {
			return false
		}
	}
	return p.peek(at+1, "=>")
}

// lambda parses an anonymous function.
func (p *parser) lambda() Expr {
	l := &Lambda{Pos: p.tok().pos}
	p.next()
	for ; !p.accept(")"); p.accept(",") {
		param := Param{Pos: p.tok().pos, Name: p.tok().text}
		if param.Name != "_" && slices.ContainsFunc(l.Params, func(other Param) bool { return other.Name == param.Name }) {
			p.fail("another name for this parameter", "")
			return nil
		}
		l.Params = append(l.Params, param)
		p.next()
	}
	p.next() // the arrow
	p.nested(func() {
		if p.lambdaNext() {
			p.fail("a value or a condition", "the body of a lambda is not another lambda")
			return
		}
		l.Body, _ = p.or(anyValue)
	})
	return l
}
