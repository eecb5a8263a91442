package match

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a regular expression. Those that are a text, with or without anchors, are
// tested as such, which takes a tenth of the time.
type pattern struct {
	re         *regexp.Regexp // nil: literal
	literal    []byte
	begin, end bool // the anchors of literal
}

func compilePattern(text string) (p pattern, err error) {
	re, err := regexp.Compile(text)
	if err != nil {
		return p, err
	}
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return p, err
	}
	if p, ok := literalOf(parsed); ok {
		return p, nil
	}
	return pattern{re: re}, nil
}

// literalOf returns the text that an expression is, without ".*" at its ends.
func literalOf(re *syntax.Regexp) (p pattern, ok bool) {
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	if len(parts) > 0 && (parts[0].Op == syntax.OpBeginText || anything(parts[0])) {
		p.begin = parts[0].Op == syntax.OpBeginText
		parts = parts[1:]
	}
	if n := len(parts) - 1; n >= 0 && (parts[n].Op == syntax.OpEndText || anything(parts[n])) {
		p.end = parts[n].Op == syntax.OpEndText
		parts = parts[:n]
	}
	if len(parts) != 1 || parts[0].Op != syntax.OpLiteral || parts[0].Flags&syntax.FoldCase != 0 {
		return p, false
	}
	text := string(parts[0].Rune)
	p.literal = []byte(text)
	return p, !strings.ContainsRune(text, utf8.RuneError) // which matches bytes that are not UTF-8
}

// anything reports whether re is ".*".
func anything(re *syntax.Regexp) bool {
	return re.Op == syntax.OpStar && (re.Sub[0].Op == syntax.OpAnyCharNotNL || re.Sub[0].Op == syntax.OpAnyChar)
}

func (p *pattern) match(text []byte) bool {
	switch {
	case p.re != nil:
		return p.re.Match(text)
	case p.begin && p.end:
		return bytes.Equal(text, p.literal)
	case p.begin:
		return bytes.HasPrefix(text, p.literal)
	case p.end:
		return bytes.HasSuffix(text, p.literal)
	}
	return bytes.Contains(text, p.literal)
}
