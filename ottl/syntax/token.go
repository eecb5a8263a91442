package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind uint8

const (
	kindEnd    kind = iota
	kindBytes       // 0x0aff
	kindFloat       // 1.5, .5, 1., 1.5e3
	kindInt         // 15
	kindString      // "text"
	kindNil
	kindNot
	kindOr
	kindAnd
	kindComparison // == != >= <= > <
	kindArrow      // =>
	kindAddSub     // + -
	kindMulDiv     // * /
	kindBool       // true false
	kindEqual      // =
	kindPunct      // ( ) { } [ ] : , .
	kindUpper      // [A-Z][A-Z0-9_]*
	kindLower      // [a-z][a-z0-9_]*
	kindUnderscore // _
)

// token is a piece of the text. A name in mixed case is several tokens in a row.
type token struct {
	kind kind
	pos  Pos
	text string // as written; of a string: its value
	size int    // in bytes, in the text
}

var keywords = map[string]kind{"nil": kindNil, "not": kindNot, "or": kindOr, "and": kindAnd, "true": kindBool, "false": kindBool}

// scan splits the text into tokens, the last of which is of kindEnd.
func scan(text string) ([]token, *Error) {
	tokens := make([]token, 0, len(text)/3+1)
	for at := 0; ; {
		at += len(text[at:]) - len(strings.TrimLeft(text[at:], " \t\n\f\r"))
		if at == len(text) {
			return append(tokens, token{kind: kindEnd, pos: Pos(at)}), nil
		}
		t, err := scanToken(text[at:], Pos(at))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at += t.size
	}
}

// scanToken returns the token at the beginning of text, which is at pos.
func scanToken(text string, pos Pos) (token, *Error) {
	k, size := kindEnd, 0
	switch c := text[0]; {
	case isDigit(c) || c == '.' && len(text) > 1 && isDigit(text[1]):
		k, size = scanNumber(text)
	case c == '"':
		return scanString(text, pos)
	case isLower(c):
		k, size = kindLower, countWhile(text, func(c byte) bool { return isLower(c) || isDigit(c) || c == '_' })
		if keyword, ok := keywords[text[:size]]; ok && (size == len(text) || !isUpper(text[size])) {
			k = keyword
		}
	case isUpper(c):
		k, size = kindUpper, countWhile(text, func(c byte) bool { return isUpper(c) || isDigit(c) || c == '_' })
	default:
		k, size = scanSymbol(text)
	}
	if size == 0 {
		return token{}, strayCharacter(text, pos)
	}
	return token{kind: k, pos: pos, text: text[:size], size: size}, nil
}

// scanNumber returns the kind and the size of the number that text begins with.
func scanNumber(text string) (kind, int) {
	if strings.HasPrefix(text, "0x") {
		if digits := countWhile(text[2:], isHex); digits > 0 {
			return kindBytes, 2 + digits
		}
	}
	size := countWhile(text, isDigit)
	if size == len(text) || text[size] != '.' {
		return kindInt, size
	}
	size++
	size += countWhile(text[size:], isDigit)
	if size < len(text) && (text[size] == 'e' || text[size] == 'E') {
		exponent := size + 1
		if exponent < len(text) && (text[exponent] == '+' || text[exponent] == '-') {
			exponent++
		}
		if digits := countWhile(text[exponent:], isDigit); digits > 0 {
			size = exponent + digits
		}
	}
	return kindFloat, size
}

// scanString returns the string in double quotes that text begins with, its escapes
// replaced. \x and octal escapes are code points.
func scanString(text string, pos Pos) (token, *Error) {
	var value []byte
	for at := 1; at < len(text); {
		switch c := text[at]; {
		case c == '"':
			return token{kind: kindString, pos: pos, text: string(value), size: at + 1}, nil
		case c >= utf8.RuneSelf || c == '\\':
			r, _, tail, err := strconv.UnquoteChar(text[at:], '"')
			if err != nil {
				return token{}, unknownEscape(text[at:], pos+Pos(at))
			}
			value = utf8.AppendRune(value, r)
			at = len(text) - len(tail)
		default:
			value = append(value, c)
			at++
		}
	}
	return token{}, &Error{Pos: pos, size: len(text), Found: "a string without an end", Expected: `a closing "`}
}

// scanSymbol returns the kind and the size of the operator or punctuation that text begins
// with; the size is 0 if there is none.
func scanSymbol(text string) (kind, int) {
	if len(text) > 1 {
		switch text[:2] {
		case "==", "!=", ">=", "<=":
			return kindComparison, 2
		case "=>":
			return kindArrow, 2
		}
	}
	switch text[0] {
	case '<', '>':
		return kindComparison, 1
	case '+', '-':
		return kindAddSub, 1
	case '*', '/':
		return kindMulDiv, 1
	case '=':
		return kindEqual, 1
	case '(', ')', '{', '}', '[', ']', ':', ',', '.':
		return kindPunct, 1
	case '_':
		if len(text) == 1 || !isDigit(text[1]) && !isLower(text[1]) && !isUpper(text[1]) && text[1] != '_' {
			return kindUnderscore, 1
		}
	}
	return kindEnd, 0
}

// countWhile returns how many bytes at the beginning of text are in a class.
func countWhile(text string, in func(byte) bool) int {
	n := 0
	for n < len(text) && in(text[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isLower(c byte) bool { return c >= 'a' && c <= 'z' }
func isUpper(c byte) bool { return c >= 'A' && c <= 'Z' }
func isHex(c byte) bool   { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
