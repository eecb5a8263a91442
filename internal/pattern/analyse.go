package pattern

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// Bounds of the literals that are searched instead of an expression.
const (
	maxLiterals = 16
	maxAnyOf    = 4 // required literals of alternatives, each of which is a search
)

// analyse decides how values are matched.
func (p *Pattern) analyse(tree *syntax.Regexp) {
	parts := flatten(tree, nil)
	if all, ok := product(parts); ok && len(all) == 1 && all[0] != "" {
		p.whole = []byte(all[0])
	}
	if len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		p.begin, parts = true, parts[1:]
	}
	if len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText {
		p.end, parts = true, parts[:len(parts)-1]
	}
	// An anchor behind "any text" does not anchor.
	if p.begin && len(parts) > 0 && isAnyText(parts[0]) {
		p.begin = false
	}
	if p.end && len(parts) > 0 && isAnyText(parts[len(parts)-1]) {
		p.end = false
	}
	// What may be empty at an end that is not anchored does not decide whether there is a match.
	for !p.begin && len(parts) > 0 && mayBeEmpty(parts[0]) {
		parts = parts[1:]
	}
	for !p.end && len(parts) > 0 && mayBeEmpty(parts[len(parts)-1]) {
		parts = parts[:len(parts)-1]
	}
	switch {
	case len(parts) == 0 && !(p.begin && p.end):
		p.form = formAll
	case p.asSet(parts):
		p.form = formSet
	case p.asGlob(parts):
		p.form = formGlob
	default:
		p.form = formRegexp
		p.prefilter(parts)
	}
}

// isAnyText reports whether a part is (?s:.*).
func isAnyText(re *syntax.Regexp) bool {
	g, newline, ok := gapOf(re)
	return ok && newline && g.least == 0
}

// flatten appends the parts of an expression that follow each other, without groups.
func flatten(re *syntax.Regexp, parts []*syntax.Regexp) []*syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture, syntax.OpConcat:
		for _, sub := range re.Sub {
			parts = flatten(sub, parts)
		}
		return parts
	case syntax.OpEmptyMatch:
		return parts
	}
	return append(parts, re)
}

// mayBeEmpty reports whether an expression matches the empty text wherever it is.
func mayBeEmpty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpEmptyMatch, syntax.OpStar, syntax.OpQuest:
		return true
	case syntax.OpRepeat:
		return re.Min == 0 || mayBeEmpty(re.Sub[0])
	case syntax.OpCapture, syntax.OpPlus:
		return mayBeEmpty(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !mayBeEmpty(sub) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, mayBeEmpty)
	}
	return false
}

// asSet reports whether the parts match nothing but a few literals, and keeps them.
func (p *Pattern) asSet(parts []*syntax.Regexp) bool {
	literals, ok := product(parts)
	if !ok {
		return false
	}
	p.literals = toBytes(literals)
	return true
}

// product returns the literals that are all that parts in a row match.
func product(parts []*syntax.Regexp) ([]string, bool) {
	all := []string{""}
	for _, part := range parts {
		one, ok := literals(part)
		if !ok || len(all)*len(one) > maxLiterals {
			return nil, false
		}
		next := make([]string, 0, len(all)*len(one))
		for _, a := range all {
			for _, b := range one {
				next = append(next, a+b)
			}
		}
		all = next
	}
	return all, true
}

// literals returns all that an expression matches, if that is a few literals.
func literals(re *syntax.Regexp) ([]string, bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		text := string(re.Rune)
		return []string{text}, re.Flags&syntax.FoldCase == 0 && plain(text)
	case syntax.OpCharClass:
		return classMembers(re.Rune)
	case syntax.OpCapture, syntax.OpConcat:
		return product(re.Sub)
	case syntax.OpQuest:
		all, ok := literals(re.Sub[0])
		return append([]string{""}, all...), ok
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			one, ok := literals(sub)
			if !ok || len(all)+len(one) > maxLiterals {
				return nil, false
			}
			all = append(all, one...)
		}
		return all, true
	}
	return nil, false
}

// classMembers returns the characters of a small class, given as ranges.
func classMembers(ranges []rune) ([]string, bool) {
	var all []string
	for i := 0; i+1 < len(ranges); i += 2 {
		if int(ranges[i+1]-ranges[i]) >= maxLiterals-len(all) {
			return nil, false
		}
		for r := ranges[i]; r <= ranges[i+1]; r++ {
			all = append(all, string(r))
		}
	}
	return all, len(all) > 0 && !slices.ContainsFunc(all, func(s string) bool { return !plain(s) })
}

// plain reports whether a literal matches its own bytes only. The replacement character
// also matches what is not UTF-8.
func plain(literal string) bool {
	for _, r := range literal {
		if r == utf8.RuneError {
			return false
		}
	}
	return true
}

// asGlob reports whether the parts are literals with ".*" or ".+" between them, and keeps them.
func (p *Pattern) asGlob(parts []*syntax.Regexp) bool {
	var found []string
	gaps := []gap{{}}
	oneLine := false
	for _, part := range parts {
		if g, newline, ok := gapOf(part); ok {
			at := &gaps[len(gaps)-1]
			at.present = true
			at.least += g.least
			oneLine = oneLine || !newline
			if at.least > 1 {
				return false
			}
			continue
		}
		one, ok := literals(part)
		if !ok || len(one) != 1 {
			return false
		}
		if last := len(gaps) - 1; len(found) > 0 && !gaps[last].present {
			found[len(found)-1] += one[0]
			continue
		}
		found = append(found, one[0])
		gaps = append(gaps, gap{})
	}
	if len(found) == 0 {
		return false
	}
	p.literals, p.gaps, p.oneLine = toBytes(found), gaps, oneLine
	return true
}

// gapOf returns the gap that an expression is, and whether it matches new lines.
func gapOf(re *syntax.Regexp) (gap, bool, bool) {
	g := gap{present: true}
	switch re.Op {
	case syntax.OpStar:
	case syntax.OpPlus:
		g.least = 1
	case syntax.OpCapture:
		return gapOf(re.Sub[0])
	default:
		return gap{}, false, false
	}
	switch re.Sub[0].Op {
	case syntax.OpAnyChar:
		return g, true, true
	case syntax.OpAnyCharNotNL:
		return g, false, true
	}
	return gap{}, false, false
}

// prefilter keeps what values have if they match.
func (p *Pattern) prefilter(parts []*syntax.Regexp) {
	if len(parts) == 0 {
		return
	}
	if p.begin {
		p.prefix = edge(parts[0])
	}
	if p.end {
		p.suffix = edge(parts[len(parts)-1])
	}
	best := requiredOf(parts)
	if len(best) == 1 && (best[0] == string(p.prefix) || best[0] == string(p.suffix)) {
		return
	}
	p.required = toBytes(best)
}

// edge returns the literal that a part is, or nil.
func edge(part *syntax.Regexp) []byte {
	if one, ok := literals(part); ok && len(one) == 1 && one[0] != "" {
		return []byte(one[0])
	}
	return nil
}

// requiredOf returns literals one of which is in each text that parts in a row match: those
// whose shortest is longest. It returns nil if there are none.
func requiredOf(parts []*syntax.Regexp) []string {
	var best []string
	for _, part := range parts {
		if one := required(part); shortest(one) > shortest(best) {
			best = one
		}
	}
	return best
}

// required is requiredOf of one part.
func required(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		one, ok := literals(re)
		if !ok {
			return nil
		}
		return one
	case syntax.OpCapture, syntax.OpPlus, syntax.OpConcat:
		return requiredOf(re.Sub)
	case syntax.OpRepeat:
		if re.Min > 0 {
			return required(re.Sub[0])
		}
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			one := required(sub)
			if shortest(one) == 0 || len(all)+len(one) > maxAnyOf {
				return nil
			}
			all = append(all, one...)
		}
		return all
	}
	return nil
}

// shortest returns the length of the shortest literal, 0 if there are none.
func shortest(literals []string) int {
	if len(literals) == 0 {
		return 0
	}
	least := len(literals[0])
	for _, l := range literals {
		least = min(least, len(l))
	}
	return least
}

func toBytes(literals []string) [][]byte {
	var all [][]byte
	for _, l := range literals {
		all = append(all, []byte(l))
	}
	return all
}
