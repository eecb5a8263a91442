package pattern

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// CompileGlob returns the pattern of a glob, which matches whole values:
//
//   - **       any text
//     ?          any character
//     [abc]      one of these characters; [!abc] another one
//     [a-z]      a character of this range; [!a-z] another one
//     {a*,b}     one of these globs
//     \c         the character c
func CompileGlob(glob string) (*Pattern, error) {
	if !utf8.ValidString(glob) {
		return nil, errors.New("the glob is not UTF-8")
	}
	g := globParser{rest: []rune(glob)}
	g.out.WriteString("(?s)^(?:")
	for len(g.rest) > 0 {
		if err := g.item(); err != nil {
			return nil, fmt.Errorf("glob %q: %w", glob, err)
		}
	}
	g.out.WriteString(strings.Repeat(")", g.depth+1) + "$")
	return Compile(g.out.String())
}

// globParser writes a glob as a regular expression.
type globParser struct {
	rest  []rune
	out   strings.Builder
	depth int // of braces
}

func (g *globParser) item() error {
	r := g.rest[0]
	g.rest = g.rest[1:]
	switch {
	case r == '*':
		g.out.WriteString(".*")
	case r == '?':
		g.out.WriteByte('.')
	case r == '[':
		return g.class()
	case r == '{':
		g.depth++
		g.out.WriteString("(?:")
	case r == ',' && g.depth > 0:
		g.out.WriteByte('|')
	case r == '}' && g.depth > 0:
		g.depth--
		g.out.WriteByte(')')
	case r == '\\':
		if len(g.rest) > 0 {
			g.out.WriteString(regexp.QuoteMeta(string(g.rest[0])))
			g.rest = g.rest[1:]
		}
	default:
		g.out.WriteString(regexp.QuoteMeta(string(r)))
	}
	return nil
}

// class writes what stands behind "[".
func (g *globParser) class() error {
	g.out.WriteByte('[')
	if len(g.rest) > 0 && g.rest[0] == '!' {
		g.out.WriteByte('^')
		g.rest = g.rest[1:]
	}
	if len(g.rest) > 3 && g.rest[1] == '-' {
		lo, hi := g.rest[0], g.rest[2]
		if g.rest[3] != ']' || hi < lo {
			return fmt.Errorf("%q is not a range of characters", string(g.rest[:4]))
		}
		fmt.Fprintf(&g.out, `\x{%x}-\x{%x}]`, lo, hi)
		g.rest = g.rest[4:]
		return nil
	}
	n := 0
	for ; len(g.rest) > 0; n++ {
		r := g.rest[0]
		g.rest = g.rest[1:]
		switch {
		case r == ']' && n > 0:
			g.out.WriteByte(']')
			return nil
		case r == ']':
			return errors.New("a class without characters")
		case r == '\\' && len(g.rest) > 0:
			r = g.rest[0]
			g.rest = g.rest[1:]
		}
		fmt.Fprintf(&g.out, `\x{%x}`, r)
	}
	return errors.New(`a class without its "]"`)
}
