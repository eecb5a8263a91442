package conf

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// hints maps messages of the YAML library to their usual causes, in the words
// of a user.
func hints() [][2]string {
	return [][2]string{
		{"mapping values are not allowed", `a second ": " in one line, or a wrong indentation; text with ": " in it needs quotes`},
		{"could not find expected ':'", `a key without ":" after it, or text that is indented too little`},
		{"did not find expected key", "the indentation does not match the lines above, or a quote or bracket is not closed, here or one line up"},
		{"did not find expected '-' indicator", "the indentation does not match the list items above"},
		{"block sequence entries are not allowed", `a "- " item cannot start here; put it on its own line`},
		{"cannot start any token", "text that starts with @, ` or % needs quotes"},
		{"unknown escape character", `in double quotes \ starts an escape; use single quotes or \\`},
		{"unexpected end of stream", "a quote is not closed"},
		{"expected ',' or", "a [ or { is not closed, or a comma is missing"},
		{"expected alphabetic or numeric", "text that starts with * or & needs quotes"},
		{"did not find expected node content", "a [ or { is not closed, or a value is missing"},
	}
}

// cutYAML returns the library's message without its prefixes.
func cutYAML(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n  ")
	return regexp.MustCompile(`^line \d+: `).ReplaceAllString(text, "")
}

// explainSyntax finds the position and the cause of a syntax error. The library
// returns at most the line.
func explainSyntax(text []byte, err error) (mark, error) {
	at := mark{line: syntaxLine(text, err), col: 1}
	message := cutYAML(err)
	if tab, ok := findIndentTab(text, at.line); ok {
		return tab, errors.New("a tab in the indentation; YAML requires spaces (" + message + ")")
	}
	switch {
	case strings.HasPrefix(message, "unknown anchor"):
		if name := strings.Split(message, "'"); len(name) == 3 {
			at = locateOffset(text, bytes.Index(text, []byte("*"+name[1])))
			message = "the anchor &" + name[1] + " is not defined above"
		}
		return at, errors.New(message)
	case strings.Contains(message, "control characters"), strings.Contains(message, "UTF-8"):
		return locateOffset(text, findBadRune(text)), errors.New("not YAML text: " + message)
	}
	for _, h := range hints() {
		if strings.Contains(message, h[0]) {
			message += " (" + h[1] + ")"
			break
		}
	}
	at.col = firstColumn(text, int(at.line))
	return at, errors.New("YAML syntax: " + message)
}

// syntaxLine returns the line of a syntax error. If the library's parser found the error, its
// number is that of the enclosing construct, minus one; otherwise it is that of the error.
func syntaxLine(text []byte, err error) int32 {
	line := 1
	if m := regexp.MustCompile(`^yaml: line (\d+): `).FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
	}
	message := cutYAML(err)
	switch {
	case strings.HasPrefix(message, "did not find expected ',' or"): // the line of the opening bracket is better
		line++
	case strings.HasPrefix(message, "did not find expected"):
		r := &lineReader{text: text}
		_ = yaml.NewDecoder(r).Decode(new(yaml.Node)) // returns the same error
		line = r.lines
	}
	return int32(min(line, bytes.Count(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))+1))
}

// A lineReader returns one line for each Read, so that lines shows how far the
// parser got.
type lineReader struct {
	text  []byte
	lines int // lines begun
	rest  bool
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.text) == 0 {
		return 0, io.EOF
	}
	end := bytes.IndexByte(r.text, '\n') + 1
	if end == 0 {
		end = len(r.text)
	}
	if !r.rest {
		r.lines++
	}
	n := copy(p, r.text[:end])
	r.text, r.rest = r.text[n:], n < end
	return n, nil
}

// findIndentTab finds a tab before the first character of a line, starting with
// line from.
func findIndentTab(text []byte, from int32) (mark, bool) {
	line := int32(0)
	for l := range bytes.Lines(text) {
		line++
		indent := l[:len(l)-len(bytes.TrimLeft(l, " \t"))]
		if tab := bytes.IndexByte(indent, '\t'); tab >= 0 && line >= from-1 && line <= from+1 {
			return mark{line: line, col: int32(tab + 1)}, true
		}
	}
	return mark{}, false
}

func firstColumn(text []byte, line int) int32 {
	for l := range bytes.Lines(text) {
		if line--; line == 0 {
			return int32(len(l)-len(bytes.TrimLeft(l, " "))) + 1
		}
	}
	return 1
}

// findBadRune returns the offset of the first byte that YAML does not allow, or -1.
func findBadRune(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) && !strings.ContainsRune("\t\r\n\u0085", r) {
			return i
		}
		i += size
	}
	return -1
}

func locateOffset(text []byte, offset int) mark {
	if offset < 0 {
		return mark{line: 1, col: 1}
	}
	before := text[:offset]
	start := bytes.LastIndexByte(before, '\n') + 1
	return mark{line: int32(bytes.Count(before, []byte("\n")) + 1), col: int32(utf8.RuneCount(before[start:]) + 1)}
}
