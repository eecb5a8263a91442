// Package pattern matches regular expressions against bytes. What a regular expression
// requires literally is searched first, so that most values that do not match cost one
// search; expressions that are literals with anchors and ".*" need nothing else. The results
// are those of package regexp.
package pattern

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// Pattern is a compiled regular expression. It may be used by several goroutines.
type Pattern struct {
	re   *regexp.Regexp
	form form

	begin, end bool     // of formSet and formGlob: whether the match is at the begin, at the end
	literals   [][]byte // of formSet: one of these; of formGlob: all of these in order
	gaps       []gap    // of formGlob: before, between and after the literals
	oneLine    bool     // of formGlob: whether a gap does not match new lines

	// Of formRegexp: what the value has if it matches. Nil: unknown.
	prefix, suffix []byte
	required       [][]byte // one of these

	whole []byte // the literal that is all of the expression; nil if it is not a literal
}

// form is how a value is matched.
type form uint8

const (
	formRegexp form = iota
	formAll         // each value matches
	formSet         // literals
	formGlob        // literals and ".*" or ".+"
)

// gap is ".*" or ".+".
type gap struct {
	present bool
	least   int // characters: 0 or 1
}

// Compile returns the pattern of an expression in the syntax of package regexp.
func Compile(expr string) (*Pattern, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	p := &Pattern{re: re}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	p.analyse(tree)
	return p, nil
}

// MustCompile is like Compile, and panics if the expression is invalid.
func MustCompile(expr string) *Pattern {
	p, err := Compile(expr)
	if err != nil {
		panic(err)
	}
	return p
}

// String returns the expression.
func (p *Pattern) String() string { return p.re.String() }

// Regexp returns the expression as package regexp compiles it.
func (p *Pattern) Regexp() *regexp.Regexp { return p.re }

// NeedsRegexp reports whether Match needs package regexp for some values.
func (p *Pattern) NeedsRegexp() bool { return p.form == formRegexp || p.form == formGlob }

// Match reports whether a part of the value matches. It allocates nothing.
func (p *Pattern) Match(value []byte) bool {
	switch p.form {
	case formAll:
		return true
	case formSet:
		return p.matchSet(value)
	case formGlob:
		return p.matchGlob(value)
	}
	return p.possible(value) && p.re.Match(value)
}

// FindSubmatch is that of package regexp.
func (p *Pattern) FindSubmatch(value []byte) [][]byte {
	if !p.possible(value) {
		return nil
	}
	return p.re.FindSubmatch(value)
}

// FindSubmatchIndex is that of package regexp.
func (p *Pattern) FindSubmatchIndex(value []byte) []int {
	if !p.possible(value) {
		return nil
	}
	return p.re.FindSubmatchIndex(value)
}

// FindAllSubmatchIndex is that of package regexp, for all matches.
func (p *Pattern) FindAllSubmatchIndex(value []byte) [][]int {
	if !p.possible(value) {
		return nil
	}
	return p.re.FindAllSubmatchIndex(value, -1)
}

// AppendReplaceAll appends the value to dst with each match replaced by the template, in
// which $1 and ${name} are the groups of the match. If nothing matches, it returns dst as it
// is, and false.
func (p *Pattern) AppendReplaceAll(dst, value, template []byte) ([]byte, bool) {
	if p.whole != nil && bytes.IndexByte(template, '$') < 0 {
		return appendReplaceLiteral(dst, value, p.whole, template)
	}
	matches := p.FindAllSubmatchIndex(value)
	if matches == nil {
		return dst, false
	}
	last := 0
	for _, m := range matches {
		dst = append(dst, value[last:m[0]]...)
		dst = p.re.Expand(dst, template, value, m)
		last = m[1]
	}
	return append(dst, value[last:]...), true
}

func appendReplaceLiteral(dst, value, literal, replacement []byte) ([]byte, bool) {
	at := bytes.Index(value, literal)
	if at < 0 {
		return dst, false
	}
	for at >= 0 {
		dst = append(append(dst, value[:at]...), replacement...)
		value = value[at+len(literal):]
		at = bytes.Index(value, literal)
	}
	return append(dst, value...), true
}

// possible reports whether a value has what the expression requires literally.
func (p *Pattern) possible(value []byte) bool {
	switch {
	case p.form == formAll:
		return true
	case p.form == formSet:
		return p.matchSet(value)
	case p.form == formGlob:
		for _, l := range p.literals {
			if !bytes.Contains(value, l) {
				return false
			}
		}
		return true
	case p.prefix != nil && !bytes.HasPrefix(value, p.prefix):
		return false
	case p.suffix != nil && !bytes.HasSuffix(value, p.suffix):
		return false
	case p.required == nil:
		return true
	}
	for _, l := range p.required {
		if bytes.Contains(value, l) {
			return true
		}
	}
	return false
}

func (p *Pattern) matchSet(value []byte) bool {
	for _, l := range p.literals {
		found := false
		switch {
		case p.begin && p.end:
			found = bytes.Equal(value, l)
		case p.begin:
			found = bytes.HasPrefix(value, l)
		case p.end:
			found = bytes.HasSuffix(value, l)
		default:
			found = bytes.Contains(value, l)
		}
		if found {
			return true
		}
	}
	return false
}

// matchGlob finds each literal as early as it can be, which leaves the most for the others.
// Values with new lines are left to package regexp if a gap does not match them.
func (p *Pattern) matchGlob(value []byte) bool {
	if p.oneLine && bytes.IndexByte(value, '\n') >= 0 {
		return p.possible(value) && p.re.Match(value)
	}
	rest := value
	for i, l := range p.literals {
		before, after := p.gaps[i], p.gaps[i+1]
		if len(rest) < before.least {
			return false
		}
		rest = rest[before.least:]
		switch {
		case i == 0 && p.begin && !before.present:
			if !bytes.HasPrefix(rest, l) {
				return false
			}
			rest = rest[len(l):]
		case i == len(p.literals)-1 && p.end && !after.present:
			return bytes.HasSuffix(rest, l)
		default:
			at := bytes.Index(rest, l)
			if at < 0 {
				return false
			}
			rest = rest[at+len(l):]
		}
	}
	return len(rest) >= p.gaps[len(p.literals)].least
}
