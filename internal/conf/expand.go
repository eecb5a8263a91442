package conf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock-telemetry/penstock/config"
)

// Limits of expansion. The first is the Collector's.
const (
	maxExpansions = 1000     // in one value
	maxChain      = 100      // of ${...} whose content has maps or lists with ${...}
	maxTextBytes  = 32 << 20 // written in all steps of one Load
)

var (
	errTooManyExpansions = errors.New("too many recursive expansions: more than 1000 in one value (a variable that refers to itself?)")
	errChainTooLong      = errors.New("too many recursive expansions: more than 100 inside each other (a file that includes itself?)")
	errTextTooLong       = errors.New("expansion takes too many steps or writes more than 32 MiB of text")
)

// An origin says where a text that is expanded comes from.
type origin struct {
	level int // its depth in the tree
	chain int // the number of ${...} that it came through
	// content is set for the content of a variable, which is taken as it is: only in the
	// text of a configuration $$ stands for a dollar. ${...} is expanded in both.
	content bool
}

func (o origin) below() origin {
	o.level++
	return o
}

// expand replaces ${...} and $$ in the values below n.
func (l *loader) expand(n *Node, from origin) {
	if l.full || len(l.errs) >= maxErrors {
		return
	}
	switch n.kind {
	case String:
		if strings.Contains(n.text, "$") {
			l.expandString(n, from, true)
		}
	case Map, List:
		for _, c := range n.children {
			l.expand(c, from.below())
		}
	}
}

// expandString follows the Collector: the first innermost ${...} is replaced until none is left.
// If typed is set, a value that consists of one ${...} gets the type of its content.
func (l *loader) expandString(n *Node, from origin, typed bool) {
	if from.chain == 0 && hasOpenBrace(n.text) {
		l.failAt(n, errors.New(`"${" without "}"; for a literal "${" write "$${"`))
		return
	}
	text := n.text
	if from.content {
		text = protect(text)
	}
	for range maxExpansions {
		ref := findRef(text)
		if ref == "" {
			n.text = unprotect(unescape(text))
			return
		}
		c, err := l.resolve(n.at, ref)
		if err == nil {
			err = l.spend(len(text) + len(c.text)*strings.Count(text, ref))
		}
		if err != nil {
			l.failAt(n, err)
			return
		}
		if ref != text || !typed {
			text = strings.ReplaceAll(text, ref, protect(c.text))
			continue
		}
		n.from = sourceOf(ref)
		value := l.parseContent(n.at, ref, c, from.level)
		if value.kind != String {
			n.quoted = n.quoted && !strings.HasPrefix(ref, "${yaml:") // which often needs the quotes
			n.become(value)
			l.expandTyped(n, origin{from.level, from.chain + 1, !isFileRef(ref)})
			return
		}
		text, n.hint = protect(value.text), value.hint
	}
	l.failAt(n, errTooManyExpansions)
}

// protected stands for a dollar of a content. A variable cannot contain the zero bytes,
// and a YAML text only valid UTF-8.
const protected = "\x00\xff\x00"

// protect replaces the dollars of a content, except those that begin a ${...}.
func protect(content string) string {
	if !strings.Contains(content, "$") {
		return content
	}
	var b strings.Builder
	for i := range len(content) {
		if content[i] != '$' || strings.HasPrefix(content[i:], "${") && !isEscaped(content, i) {
			b.WriteByte(content[i])
		} else {
			b.WriteString(protected)
		}
	}
	return b.String()
}

func unprotect(text string) string { return strings.ReplaceAll(text, protected, "$") }

// spend counts the bytes that a step writes, before it writes them.
func (l *loader) spend(n int) error {
	const stepBytes = 256 // the cost of a step in addition to its text
	if n += stepBytes; n > l.textBytes {
		l.full = true
		return errTextTooLong
	}
	l.textBytes -= n
	return nil
}

func (l *loader) failAt(n *Node, err error) {
	l.errs.Add(n.Errorf("%w", err))
}

// expandTyped continues inside a list or map that came from ${...}, and in its
// text.
func (l *loader) expandTyped(n *Node, from origin) {
	if from.chain > maxChain {
		l.full = true
		l.failAt(n, errChainTooLong)
		return
	}
	l.expand(n, from)
	if n.original == nil || !strings.Contains(*n.original, "$") {
		return
	}
	// The text for a field of text is expanded too; if that fails, there is
	// none.
	errs, asText := l.errs, &Node{kind: String, text: *n.original, at: n.at}
	l.errs, n.original = nil, nil
	from.content = true
	if l.expandString(asText, from, false); len(l.errs) == 0 {
		n.original = &asText.text
	}
	l.errs = errs
}

// parseContent parses the content of a ${...} as YAML. Content that is not YAML
// becomes a string.
func (l *loader) parseContent(at mark, ref string, c content, level int) *Node {
	verbatim := &Node{kind: String, text: c.text, at: at}
	if c.literal {
		return verbatim
	}
	p := &parser{src: at.src, at: &at, from: sourceOf(ref), depth: level, nodes: &l.nodes}
	inFile := isFileRef(ref)
	if inFile {
		p.src, p.at, p.from = l.source(config.RedactURLs(strings.TrimPrefix(ref[2:len(ref)-1], "file:"))), nil, ""
	}
	value, _ := p.parse([]byte(c.text))
	if p.full {
		l.full = true
		l.errs.Add(p.errs)
	}
	if len(p.errs) > 0 {
		why := error(p.errs[0])
		if !inFile {
			why = p.errs[0].Err
		}
		verbatim.hint = "used as text since it is not valid YAML: " + why.Error()
		return verbatim
	}
	if value.kind == String {
		return verbatim
	}
	if value.kind != Map && value.kind != List {
		value.at = at
	}
	value.original = &c.text
	return value
}

// isFileRef reports whether a reference is to a file or a URL, whose text has lines of its
// own.
func isFileRef(ref string) bool {
	return strings.HasPrefix(ref, "${file:") || strings.HasPrefix(ref, "${http:") || strings.HasPrefix(ref, "${https:")
}

// resolve returns the content of a reference such as "${env:HOME}".
func (l *loader) resolve(at mark, ref string) (content, error) {
	uri := ref[2 : len(ref)-1]
	if !strings.Contains(uri, ":") {
		uri = "env:" + uri
	}
	scheme, opaque, ok := cutScheme(uri)
	switch {
	case strings.HasPrefix(opaque, "-") && isEnvName(strings.TrimSuffix(uri, ":"+opaque)):
		return content{}, fmt.Errorf("expand %s: a default needs env: before the name, as in ${env:%s}", shorten(ref), uri)
	case !ok || len(scheme) < 2:
		return content{}, fmt.Errorf("expand %s: no scheme (env, file, http, https or yaml) before the colon", shorten(ref))
	case strings.Contains(opaque, "$"):
		return content{}, fmt.Errorf(`expand %s: "$" is not allowed inside`, shorten(ref))
	}
	c, err := l.retrieve(at, scheme, opaque)
	switch {
	case err == nil:
		return c, nil
	case scheme == "file" || isFileRef(ref):
		return content{}, fmt.Errorf("expand %s: %w", shorten(sourceOf(ref)), err)
	}
	return content{}, fmt.Errorf(`expand %s: %w; for a literal "${" write "$${"`, shorten(ref), err)
}

// sourceOf returns a reference as shown in errors: without the default, which
// may be a secret.
func sourceOf(ref string) string {
	if isFileRef(ref) {
		return config.RedactURLs(ref)
	}
	if name, _, ok := strings.Cut(ref, ":-"); ok {
		return name + "}"
	}
	if strings.HasPrefix(ref, "${yaml:") {
		return "${yaml:...}"
	}
	return ref
}

// findRef returns the first ${...} that contains no other and is not escaped,
// or "".
func findRef(s string) string {
	for {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return ""
		}
		if start := strings.LastIndex(s[:end], "${"); start >= 0 && !isEscaped(s, start) {
			return s[start : end+1]
		}
		s = s[end+1:]
	}
}

// isEscaped reports whether an odd number of $ precedes s[at].
func isEscaped(s string, at int) bool {
	before := s[:at]
	return (len(before)-len(strings.TrimRight(before, "$")))%2 == 1
}

func unescape(s string) string {
	return strings.ReplaceAll(s, "$$", "$")
}

// hasOpenBrace reports whether s has a "${" without "}". The Collector uses such text as
// it is, but it is never intended.
func hasOpenBrace(s string) bool {
	open := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "$$"):
			i++
		case strings.HasPrefix(s[i:], "${"):
			open++
			i++
		case s[i] == '}' && open > 0:
			open--
		}
	}
	return open > 0
}

func (l *loader) warn(at mark, text string) {
	l.warnings = append(l.warnings, Warning{Pos: at.pos(), Text: text})
}

// sortedWarnings returns each warning once.
func (l *loader) sortedWarnings() []Warning {
	slices.SortStableFunc(l.warnings, func(a, b Warning) int {
		return cmp.Or(config.ComparePos(a.Pos, b.Pos), strings.Compare(a.Text, b.Text))
	})
	return slices.Compact(l.warnings)
}
